import { type CookieAttributes, checkCookie, cookieValues, setCookie } from './cookie-text.ts'
import { type Secrets, SignedValue } from './signed-value.ts'
import type { Brought, HeaderChange, IgnoredReason, TokenChannel } from './token-channel.ts'
import { PRIMARY_ONLY } from './token-channel.ts'
import type { WebRequest } from './web-request.ts'

export interface CookieOptions extends CookieAttributes {
  /** 32 bytes or more at random; of several the first signs and all are accepted. */
  readonly secret: Secrets
  /** Default `pgsplit`: the cookies are `pgsplit.seen` and `pgsplit.wrote`. */
  readonly name?: string
  /** How long a token is believed, ms. Default 1 h: longer than any replica that is read may lag. */
  readonly maxAgeMs?: number
}

/**
 * Tokens in signed cookies. A browser keeps what arrives last, and answers to requests that ran side
 * by side arrive in any order. So there are two cookies: positions of the primary only grow with
 * time, and the answer to a read of a replica must not replace one with an older position.
 */
export class CookieChannel implements TokenChannel {
  readonly #attributes: CookieAttributes
  readonly #maxAgeMs: number
  readonly #primaryOnlyMs: number
  readonly #seen: { readonly name: string; readonly signed: SignedValue }
  readonly #wrote: { readonly name: string; readonly signed: SignedValue }

  /** Throws ConfigError for options that no browser or no signature takes. */
  constructor(options: CookieOptions, maxAgeMs: number, primaryOnlyMs: number) {
    const { name = 'pgsplit', secret } = options
    checkCookie(name, options)
    const named = (suffix: string) => {
      const full = `${name}.${suffix}`
      return { name: full, signed: new SignedValue(secret, `cookie ${full}`, 'cookie.secret') }
    }
    this.#attributes = options
    this.#maxAgeMs = maxAgeMs
    this.#primaryOnlyMs = primaryOnlyMs
    this.#seen = named('seen')
    this.#wrote = named('wrote')
  }

  read(request: WebRequest, nowMs: number, onIgnored: (reason: IgnoredReason) => void): Brought[] {
    const header = request.header('cookie')
    return [this.#wrote, this.#seen].flatMap(({ name, signed }) =>
      cookieValues(header, name).flatMap((value) => {
        const opened = signed.open(value, nowMs)
        if ('text' in opened) return [{ token: opened.text, expiresAtMs: opened.expiresAtMs }]
        onIgnored(opened.ignored)
        return []
      }),
    )
  }

  write(token: string, fromPrimary: boolean, nowMs: number): HeaderChange {
    const { name, signed } = fromPrimary ? this.#wrote : this.#seen
    const ageMs = token === PRIMARY_ONLY ? this.#primaryOnlyMs : this.#maxAgeMs
    const value = signed.sign(token, nowMs + ageMs)
    return {
      name: 'Set-Cookie',
      value: setCookie(name, value, ageMs, this.#attributes),
      append: true,
    }
  }
}
