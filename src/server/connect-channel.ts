import { ProtocolError } from '../errors.ts'
import { Link } from '../net/link.ts'
import { ownFailure, ownFailureText } from '../net/own-failure.ts'
import type { ServerTls } from '../net/tls-options.ts'
import { connectTls, type TlsInfo, tlsFailure } from '../net/tls-upgrade.ts'
import { sslRequest } from '../wire/frontend-messages.ts'
import { ConnectError } from './connect-error.ts'
import { LoginChannel } from './login-channel.ts'

/** Where a server listens. */
export interface DialTarget {
  readonly host: string
  readonly port: number
  /** How long a connection is silent until it is tried; null: never. Default 30,000 ms. */
  readonly keepAliveIdleMs?: number | null
  /** No log-in there takes longer. Default: no limit of its own. */
  readonly connectTimeoutMs?: number
}

/** Connects a socket, as `Link.dial`. */
export type Dial = (target: DialTarget, timeoutMs: number, signal?: AbortSignal) => Promise<Link>

export interface OpenOptions {
  readonly signal?: AbortSignal
  readonly dial?: Dial
}

/** One try of a connection: without TLS, with it where the server has it, or with it only. */
export type Encryption = 'plain' | 'offered' | 'required'

export interface OpenChannel {
  readonly channel: LoginChannel
  readonly tls: TlsInfo | null
  /** Ends the time limit on the channel's reads, and what the signal does. */
  readonly stopClock: () => void
}

/** What to try, in libpq's order for the sslmode. */
export function encryptions(tls: ServerTls): readonly Encryption[] {
  switch (tls.sslmode) {
    case 'disable':
      return ['plain']
    case 'allow':
      return ['plain', 'required']
    case 'prefer':
      return ['offered', 'plain']
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return ['required']
    default:
      tls.sslmode satisfies never
      return ['required']
  }
}

/**
 * Dials and brings up TLS as `encryption` says, until `deadline` (of `performance.now()`), which
 * from then on also limits the channel's reads. Rejects with ConnectError.
 */
export async function openChannel(
  target: DialTarget,
  tls: ServerTls,
  encryption: Encryption,
  deadline: number,
  { dial = Link.dial, signal }: OpenOptions = {},
): Promise<OpenChannel> {
  const where = `${target.host}:${target.port}`
  const leftMs = (): number => Math.max(1, deadline - performance.now())
  const link = await dial(target, leftMs(), signal).catch((error: unknown) => {
    throw unreachable(where, error)
  })
  const channel = new LoginChannel(link)
  const giveUp = (): void => {
    const message = `the log-in to ${where} was given up`
    channel.fail(new ConnectError('network', { sqlstate: '08001', message }))
    link.destroy()
  }
  signal?.addEventListener('abort', giveUp, { once: true })
  const timer = setTimeout(() => {
    const message = `log-in to ${where} timed out`
    channel.fail(new ConnectError('timeout', { sqlstate: '08001', message }))
  }, leftMs())
  const stopClock = (): void => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', giveUp)
  }
  try {
    if (encryption === 'plain') return { channel, tls: null, stopClock }
    if (!tls.isDirect && !(await isTlsOffered(channel))) {
      if (encryption === 'offered') return { channel, tls: null, stopClock }
      const message = `${where} does not offer TLS, but sslmode ${tls.sslmode} requires it`
      throw new ConnectError('tls', { sqlstate: '08001', message })
    }
    const upgraded = await connectTls(
      channel.link.takeDuplex(),
      tls.connectOptions(target.host),
      leftMs(),
    ).catch((error: unknown) => {
      throw new ConnectError(
        'tls',
        { sqlstate: '08001', message: `TLS with ${where} failed: ${tlsFailure(error)}` },
        error,
      )
    })
    channel.attach(Link.of(upgraded.socket))
    if (tls.isDirect && !upgraded.tls.hasAlpn) {
      const message = `${where} speaks TLS, but not PostgreSQL over it (no ALPN)`
      throw new ConnectError('tls', { sqlstate: '08001', message })
    }
    return { channel, tls: upgraded.tls, stopClock }
  } catch (error) {
    stopClock()
    channel.link.destroy()
    throw error
  }
}

async function isTlsOffered(channel: LoginChannel): Promise<boolean> {
  channel.send(sslRequest())
  channel.link.flush()
  const answer = await channel.readByte()
  // What comes unencrypted behind the answer may be somebody else's (CVE-2021-23222).
  if (channel.heldBytes > 0) {
    throw new ProtocolError('the server sent unencrypted data behind its answer to SSLRequest')
  }
  if (answer === 0x53) return true
  if (answer === 0x4e) return false
  // An ErrorResponse here is not authentic: its text is not shown (CVE-2024-10977).
  throw new ProtocolError('the server did not answer SSLRequest with S or N')
}

function unreachable(where: string, error: unknown): ConnectError {
  const own = ownFailure(error)
  if (own !== null) {
    const message = `cannot connect to ${where}: ${ownFailureText(own)}`
    return new ConnectError('own', { sqlstate: '08001', message, ...ownHint(own) }, error)
  }
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
  return new ConnectError(
    code === 'ETIMEDOUT' ? 'timeout' : 'network',
    { sqlstate: '08001', message: `cannot connect to ${where}: ${code}` },
    error,
  )
}

function ownHint(code: string): { hint?: string } {
  if (code !== 'EMFILE') return {}
  return { hint: 'Raise the limit of open files (ulimit -n), or lower limits.maxClients.' }
}
