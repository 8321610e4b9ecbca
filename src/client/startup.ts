import type { Credential } from '../auth/credential.ts'
import { endPointHash } from '../auth/end-point-hash.ts'
import type { Identity } from '../auth/identity.ts'
import { PgSplitError, ProtocolError } from '../errors.ts'
import { Link } from '../net/link.ts'
import type { ClientTls, ClientTlsFiles } from '../net/tls-options.ts'
import { acceptTls, type TlsInfo, tlsFailure } from '../net/tls-upgrade.ts'
import { nowMs } from '../net/turn-clock.ts'
import { LoginChannel } from '../server/login-channel.ts'
import { errorResponse, negotiateProtocolVersion } from '../wire/backend-messages.ts'
import type { Setting } from '../wire/startup-options.ts'
import {
  decodeStartupPacket,
  NoStartupPacket,
  oldError,
  repeatedGssEncRequest,
  repeatedSslRequest,
  type StartupRequest,
} from '../wire/startup-packet.ts'
import { authenticationOk } from './authentication-messages.ts'
import { authenticate, type ClientLoginOptions, refusal } from './login.ts'
import type { GatePlace, LoginGate } from './login-gate.ts'
import { assertTlsSuffices } from './tls-requirement.ts'

export interface AcceptOptions extends ClientLoginOptions {
  /** TLS that clients are offered; null: none. */
  readonly tls: ClientTls | null
  readonly gate: LoginGate
  /** From the connection's first moment to AuthenticationOk. Default 30,000 ms. */
  readonly authTimeoutMs?: number
  /** Passes a cancel request on; the client's connection closes when it settles. */
  readonly onCancel: (processId: number, secretKey: Buffer) => Promise<void> | void
}

/** A client that is authenticated and has been told so (AuthenticationOk). */
export interface ClientLogin {
  readonly kind: 'login'
  /** Paused: set its handlers, take `leftover` first, then `resume()`. */
  readonly link: Link
  /** Bytes that the client sent behind its last message. */
  readonly leftover: Buffer
  readonly user: string
  readonly database: string
  /** As sent, in order, `user`, `database` and `options` included. */
  readonly startupParameters: readonly (readonly [string, string])[]
  /** Settings asked for (`options` first), in the order in which they take effect. */
  readonly settings: readonly Setting[]
  readonly applicationName: string
  readonly replication: StartupRequest['replication']
  readonly protocolMinor: number
  readonly credential: Credential
  /** Who the client is at the servers; null where none is concerned. */
  readonly identity: Identity | null
  readonly tls: TlsInfo | null
}

export type AcceptOutcome =
  | ClientLogin
  /** A CancelRequest: passed on, closed. */
  | { readonly kind: 'cancel' }
  /** Closed by the client before it asked for anything: a port probe, or TLS that it didn't like. */
  | { readonly kind: 'gone' }
  /** Refused: told why, if it could be told, and closed. `user` '' if it didn't say. */
  | { readonly kind: 'refused'; readonly error: Error; readonly user: string }

/**
 * Takes a freshly accepted client through GSSENCRequest, SSLRequest or direct TLS, StartupMessage
 * and authentication. Never rejects. Closes silently where PostgreSQL does: on what is no startup
 * packet at all.
 */
export async function acceptClient(link: Link, options: AcceptOptions): Promise<AcceptOutcome> {
  return new ClientStartup(link, options).run()
}

class ClientStartup {
  #options: AcceptOptions
  #channel: LoginChannel
  #address: string
  #tls: TlsInfo | null = null
  #user = ''
  #deadline: number
  #place: GatePlace | null = null
  #timeoutMs: number

  constructor(link: Link, options: AcceptOptions) {
    this.#options = options
    this.#channel = new LoginChannel(link)
    this.#address = link.remoteAddress
    this.#timeoutMs = options.authTimeoutMs ?? 30_000
    this.#deadline = nowMs() + this.#timeoutMs
  }

  async run(): Promise<AcceptOutcome> {
    const channel = this.#channel
    const timer = setTimeout(() => {
      const hint = 'The limit is authTimeout.'
      channel.fail(refusal('57014', `log-in took longer than ${this.#timeoutMs} ms`, hint))
    }, this.#timeoutMs)
    this.#place = this.#options.gate.enter(this.#address, () => {
      channel.fail(refusal('53300', 'too many clients that have not logged in yet'))
    })
    try {
      return await this.#start()
    } catch (error) {
      return this.#refuse(error instanceof Error ? error : new Error(String(error)))
    } finally {
      clearTimeout(timer)
      this.#place?.leave()
    }
  }

  async #start(): Promise<AcceptOutcome> {
    const channel = this.#channel
    if ((await channel.peekByte()) === 0x16) await this.#startTls('direct')
    let wasGssAsked = false
    let wasTlsAsked = false
    for (;;) {
      const packet = decodeStartupPacket(await channel.readStartupPacket())
      switch (packet.kind) {
        case 'gssenc-request':
          if (wasGssAsked || this.#tls !== null) throw repeatedGssEncRequest
          wasGssAsked = true
          this.#answer('N')
          this.#assertNothingBehind('GSSAPI encryption request')
          break
        case 'ssl-request':
          if (wasTlsAsked || this.#tls !== null) throw repeatedSslRequest
          wasTlsAsked = true
          this.#answer(this.#tlsFiles() === null ? 'N' : 'S')
          this.#assertNothingBehind('SSL request')
          if (this.#tlsFiles() !== null) await this.#startTls('asked')
          break
        case 'cancel':
          return await this.#cancel(packet.processId, packet.secretKey)
        case 'refused':
          if (packet.isOld) this.#channel.send(oldError(packet.error))
          throw packet.isOld ? new NoStartupPacket(packet.error.message) : packet.error
        case 'startup':
          return await this.#logIn(packet)
        default:
          packet satisfies never
      }
    }
  }

  /** Closes without a word whatever comes of it: this client is not authenticated. */
  async #cancel(processId: number, secretKey: Buffer): Promise<AcceptOutcome> {
    try {
      await this.#channel.during(Promise.resolve(this.#options.onCancel(processId, secretKey)))
    } catch {
      // The callback has its own log; nobody here may learn whether the key was right.
    }
    this.#close()
    return { kind: 'cancel' }
  }

  async #logIn(request: StartupRequest): Promise<ClientLogin> {
    const channel = this.#channel
    const { user, database, negotiate } = request
    this.#user = user
    this.#place?.reach('started')
    const name = this.#tls?.clientCertificate?.commonName ?? null
    assertTlsSuffices(this.#options.tls, this.#tls, user)
    if (negotiate !== null) {
      channel.send(negotiateProtocolVersion(negotiate.minor, negotiate.unrecognized))
    }
    const certificate = this.#tls?.serverCertificate ?? null
    const { credential, identity } = await authenticate(
      channel,
      {
        user,
        database,
        address: this.#address,
        isPhysical: request.replication === 'physical',
        isTls: this.#tls !== null,
        hasCertificate: (this.#tls?.clientCertificate ?? null) !== null,
        application: request.applicationName,
        endPointHash: certificate === null ? null : endPointHash(certificate),
        certificateName: name,
        onAnswer: () => this.#place?.reach('answered'),
      },
      this.#options,
    )
    channel.send(authenticationOk)
    if (request.optionsError !== null) throw request.optionsError
    return {
      kind: 'login',
      link: channel.link,
      leftover: channel.release(),
      user,
      database,
      startupParameters: request.parameters,
      settings: request.settings,
      applicationName: request.applicationName,
      replication: request.replication,
      protocolMinor: request.minor,
      credential,
      identity,
      tls: this.#tls,
    }
  }

  #tlsFiles(): ClientTlsFiles | null {
    return this.#options.tls?.files ?? null
  }

  async #startTls(how: 'asked' | 'direct'): Promise<void> {
    const clientTls = this.#options.tls
    const files = this.#tlsFiles()
    if (clientTls === null || files === null) throw new NoStartupPacket('TLS is not offered here')
    const hello = this.#channel.take(this.#channel.heldBytes)
    const duplex = this.#channel.link.takeDuplex()
    duplex.pause()
    if (hello.length > 0) duplex.unshift(hello)
    const { remotePort } = this.#channel.link
    const leftMs = Math.max(1, this.#deadline - nowMs())
    const upgraded = await acceptTls(duplex, clientTls, files, leftMs).catch((error: unknown) => {
      throw new ProtocolError(`TLS with the client failed: ${tlsFailure(error)}`)
    })
    const link = Link.of(upgraded.socket)
    link.remoteAddress = this.#address
    link.remotePort = remotePort
    this.#channel.attach(link)
    this.#tls = upgraded.tls
    // Without ALPN, bytes meant for another protocol could be played to us (ALPACA).
    if (how === 'direct' && !upgraded.tls.hasAlpn) {
      throw new NoStartupPacket('direct TLS connection without ALPN protocol "postgresql"')
    }
  }

  #assertNothingBehind(request: string): void {
    if (this.#channel.heldBytes === 0) return
    throw new ProtocolError(
      `received unencrypted data after ${request}`,
      'This is either a bug of the client or somebody in the middle who injects bytes.',
    )
  }

  #answer(letter: 'S' | 'N'): void {
    this.#channel.send(Buffer.from(letter))
    this.#channel.link.flush()
  }

  #refuse(error: Error): AcceptOutcome {
    const isGone = error instanceof PgSplitError && error.sqlstate === '08006'
    if (isGone && this.#user === '') {
      this.#channel.link.destroy()
      return { kind: 'gone' }
    }
    if (error instanceof NoStartupPacket) {
      // Without a word, as PostgreSQL does.
    } else if (error instanceof PgSplitError && !isGone) {
      this.#channel.send(errorResponse(error.facts('FATAL')))
    } else if (!isGone) {
      const message = 'internal error during the log-in'
      this.#channel.send(errorResponse({ sqlstate: 'XX000', message, severity: 'FATAL' }))
    }
    this.#close()
    return { kind: 'refused', error, user: this.#user }
  }

  /** Stops listening and closes in order: what was sent still arrives. */
  #close(): void {
    this.#channel.discard()
    this.#channel.link.end()
  }
}
