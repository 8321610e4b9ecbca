import { ConfigError } from '../../errors.ts'
import { assertKnown, type OptionNames } from '../../known-options.ts'
import { CookieChannel, type CookieOptions } from './cookie-channel.ts'
import { HeaderChannel, type HeaderOptions } from './header-channel.ts'
import type { IgnoredReason, TokenChannel } from './token-channel.ts'
import type { WebRequest } from './web-request.ts'

/** How the causal token of a request reaches the next one: by cookies, by a header, or by both. */
export interface MiddlewareOptions {
  /** Signed cookies, for browsers. */
  readonly cookie?: CookieOptions
  /** A header, for programs; a name alone means that its tokens are not signed. */
  readonly header?: string | HeaderOptions
  /** Text by which the balancer `ip-hash` chooses. Default: the client's address. */
  readonly affinity?: (request: WebRequest) => string | undefined
  /**
   * How long an answer may wait for the position of what the request did, ms. Default 1 s. At the
   * limit it goes out with a token that sends the next request's reads to the primary.
   */
  readonly maxWaitMs?: number
  /** How long that token counts, ms; longer than a replica that is read may lag. Default 60 s. */
  readonly primaryOnlyMs?: number
  /** A token that came in is not believed; the request goes on without it. Never told the token. */
  readonly onIgnored?: (reason: IgnoredReason) => void
}

/** The options with everything in its place. */
export interface Settings {
  readonly channels: readonly TokenChannel[]
  readonly affinity: (request: WebRequest) => string | undefined
  readonly maxWaitMs: number
  readonly primaryOnlyMs: number
  readonly onIgnored: (reason: IgnoredReason) => void
}

const names: OptionNames<MiddlewareOptions> = {
  cookie: true,
  header: true,
  affinity: true,
  maxWaitMs: true,
  primaryOnlyMs: true,
  onIgnored: true,
}
const headerNames: OptionNames<HeaderOptions> = { name: true, secret: true, maxAgeMs: true }
const cookieNames: OptionNames<CookieOptions> = {
  secret: true,
  name: true,
  maxAgeMs: true,
  path: true,
  domain: true,
  sameSite: true,
  secure: true,
  httpOnly: true,
  partitioned: true,
}

const HOUR_MS = 3_600_000
/** Browsers keep no cookie for longer. */
const MAX_AGE_MS = 400 * 24 * HOUR_MS

/** Throws ConfigError, with the path of the option, for what can't be. */
export function resolveOptions(options: MiddlewareOptions): Settings {
  assertKnown<MiddlewareOptions>(options, names)
  const { cookie, onIgnored } = options
  const header = typeof options.header === 'string' ? { name: options.header } : options.header
  const primaryOnlyMs = positive('primaryOnlyMs', options.primaryOnlyMs ?? 60_000, MAX_AGE_MS)
  const channels: TokenChannel[] = []
  if (header !== undefined) {
    assertKnown<HeaderOptions>(header, headerNames, 'header')
    const ageMs = positive('header.maxAgeMs', header.maxAgeMs ?? HOUR_MS, MAX_AGE_MS)
    channels.push(new HeaderChannel(header, ageMs, primaryOnlyMs))
  }
  if (cookie !== undefined) {
    assertKnown<CookieOptions>(cookie, cookieNames, 'cookie')
    const ageMs = positive('cookie.maxAgeMs', cookie.maxAgeMs ?? HOUR_MS, MAX_AGE_MS)
    channels.push(new CookieChannel(cookie, ageMs, primaryOnlyMs))
  }
  if (channels.length === 0) {
    throw new ConfigError('', 'say how tokens travel: cookie: { secret } or header: name')
  }
  return {
    channels,
    affinity: options.affinity ?? (({ address }) => address),
    maxWaitMs: positive('maxWaitMs', options.maxWaitMs ?? 1_000, 60_000),
    primaryOnlyMs,
    onIgnored(reason) {
      try {
        onIgnored?.(reason)
      } catch {
        // Counting must not cost a request.
      }
    },
  }
}

function positive(path: string, value: number, max: number): number {
  if (value > 0 && value <= max) return value
  throw new ConfigError(path, `must be more than 0 and at most ${max} ms`)
}
