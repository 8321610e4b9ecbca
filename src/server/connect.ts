import type { Credential } from '../auth/credential.ts'
import { endPointHash } from '../auth/end-point-hash.ts'
import { PgSplitError, ProtocolError } from '../errors.ts'
import type { Link } from '../net/link.ts'
import { noServerTls, type ServerTls } from '../net/tls-options.ts'
import type { TlsInfo } from '../net/tls-upgrade.ts'
import { Cursor } from '../wire/cursor.ts'
import { startupMessage } from '../wire/frontend-messages.ts'
import { backend } from '../wire/message-types.ts'
import { maxCancelKeyBytes, newestMinor } from '../wire/startup-packet.ts'
import {
  type Dial,
  type DialTarget,
  type Encryption,
  encryptions,
  openChannel,
} from './connect-channel.ts'
import { ConnectError } from './connect-error.ts'
import { logIn, outOfTurn, readLoginMessage } from './login.ts'
import type { LoginChannel } from './login-channel.ts'

export interface ConnectOptions {
  readonly target: DialTarget
  readonly user: string
  readonly database: string
  readonly credential: Credential
  /** Further startup parameters: `application_name`, `replication`, settings. */
  readonly parameters?: Iterable<readonly [string, string]>
  /** Default: no TLS. */
  readonly tls?: ServerTls
  /** For the whole log-in, TCP and TLS included. Default 10,000 ms. */
  readonly timeoutMs?: number
  /** Newest minor version of protocol 3 to ask for; the server may negotiate down. Default 2. */
  readonly minor?: 0 | 2
  /** Send a password in the clear without TLS if the server asks for it. Default false. */
  readonly allowCleartext?: boolean
  /** As libpq's channel_binding. Default: as `tls` says. */
  readonly channelBinding?: 'disable' | 'prefer' | 'require'
  /** Gives the log-in up: it rejects, and nothing of it is left. */
  readonly signal?: AbortSignal
  /** For tests: instead of `Link.dial`. */
  readonly dial?: Dial
}

/** A server connection that has said ReadyForQuery for the first time. */
export interface ServerLogin {
  /** Paused: set its handlers, take `leftover` first, then `resume()`. */
  readonly link: Link
  /** Bytes behind ReadyForQuery; nearly always none. */
  readonly leftover: Buffer
  readonly processId: number
  /** 4 bytes before protocol 3.2, up to 256 with it; empty if the server sent no key. */
  readonly secretKey: Buffer
  readonly protocolMinor: number
  readonly parameters: Map<string, string>
  /** Byte out of ReadyForQuery: `I`. */
  readonly txStatus: number
  readonly tls: TlsInfo | null
}

/** More ParameterStatus than any server has settings. */
const maxParameters = 1_000

/**
 * Connects and logs in. As libpq does, it tries again within the same time: `sslmode` allow with
 * TLS after a refusal without, prefer without TLS after a failed handshake or a refusal by
 * pg_hba.conf; protocol 3.0 where a server (or a pooler in front) doesn't know 3.2.
 *
 * Rejects with ConnectError, which keeps the server's SQLSTATE and message if there is one.
 */
export async function connectServer(options: ConnectOptions): Promise<ServerLogin> {
  const { timeoutMs = 10_000, tls = noServerTls, target } = options
  const limitMs = Math.min(timeoutMs, target.connectTimeoutMs ?? Number.POSITIVE_INFINITY)
  const deadline = performance.now() + limitMs
  let minor: number = options.minor ?? newestMinor
  const tries = encryptions(tls)
  for (let i = 0; ; ) {
    const encryption = tries[i] as Encryption
    try {
      return await connectOnce(options, tls, encryption, minor, deadline)
    } catch (error) {
      const failed = connectError(error, options.target)
      if (minor > 0 && isUnknownVersion(failed)) minor = 0
      else if (i + 1 < tries.length && isWorthOtherEncryption(failed)) i++
      else throw failed
    }
  }
}

async function connectOnce(
  options: ConnectOptions,
  tls: ServerTls,
  encryption: Encryption,
  minor: number,
  deadline: number,
): Promise<ServerLogin> {
  const opened = await openChannel(options.target, tls, encryption, deadline, options)
  const { channel } = opened
  try {
    channel.send(
      startupMessage(minor, [
        ['user', options.user],
        ['database', options.database],
        ...(options.parameters ?? []),
      ]),
    )
    const certificate = opened.tls?.serverCertificate ?? null
    const negotiated = await logIn(channel, {
      user: options.user,
      credential: options.credential,
      allowCleartext: options.allowCleartext ?? false,
      channelBinding: options.channelBinding ?? tls.channelBinding ?? 'prefer',
      tls:
        opened.tls === null
          ? null
          : { endPointHash: certificate === null ? null : endPointHash(certificate) },
    })
    const protocolMinor = Math.min(minor, negotiated.minor ?? minor)
    const ready = await readUntilReady(channel)
    return {
      ...ready,
      protocolMinor,
      tls: opened.tls,
      leftover: channel.release(),
      link: channel.link,
    }
  } catch (error) {
    channel.link.destroy()
    throw error
  } finally {
    opened.stopClock()
  }
}

async function readUntilReady(
  channel: LoginChannel,
): Promise<Pick<ServerLogin, 'processId' | 'secretKey' | 'parameters' | 'txStatus'>> {
  const parameters = new Map<string, string>()
  let processId = 0
  let secretKey: Buffer = Buffer.alloc(0)
  for (;;) {
    const message = await readLoginMessage(channel)
    const cursor = new Cursor(message.body, 0, message.body.length)
    switch (message.type) {
      case backend.parameterStatus:
        if (parameters.size >= maxParameters) throw new ProtocolError('too many parameters')
        parameters.set(cursor.string(), cursor.string())
        break
      case backend.backendKeyData:
        processId = cursor.int32()
        if (cursor.left < 4 || cursor.left > maxCancelKeyBytes) {
          throw new ProtocolError(`the server sent a cancel key of ${cursor.left} bytes`)
        }
        secretKey = Buffer.from(cursor.bytes(cursor.left))
        break
      case backend.readyForQuery:
        return { processId, secretKey, parameters, txStatus: cursor.byte() }
      default:
        throw outOfTurn(message)
    }
  }
}

/** A server or pooler that doesn't negotiate refuses 3.2; PgBouncer 1.18 as a "bad packet header". */
function isUnknownVersion({ failure, sqlstate }: ConnectError): boolean {
  return failure === 'server' && (sqlstate === '0A000' || sqlstate === '08P01')
}

/** 28000: no entry in pg_hba.conf for this user with, or without, TLS. */
function isWorthOtherEncryption({ failure, sqlstate }: ConnectError): boolean {
  return failure === 'tls' || (failure === 'server' && sqlstate === '28000')
}

function connectError(error: unknown, { host, port }: DialTarget): ConnectError {
  if (error instanceof ConnectError) return error
  const where = `${host}:${port}`
  if (error instanceof ProtocolError) {
    const message = `log-in to ${where} failed: ${error.message}`
    return new ConnectError('protocol', { sqlstate: '08P01', message }, error)
  }
  if (error instanceof PgSplitError && error.sqlstate !== '08006') {
    const { sqlstate, message, hint } = error
    const facts = { sqlstate, message }
    return new ConnectError('credential', hint === undefined ? facts : { ...facts, hint }, error)
  }
  const reason = error instanceof Error ? error.message : String(error)
  const message = `log-in to ${where} failed: ${reason}`
  return new ConnectError('network', { sqlstate: '08006', message }, error)
}
