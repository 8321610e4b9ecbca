import type { X509Certificate } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { type ConnectionOptions, connect, TLSSocket } from 'node:tls'
import { ProtocolError } from '../errors.ts'
import { type ClientTls, type ClientTlsFiles, postgresqlAlpn } from './tls-options.ts'

/** What is known of an established TLS connection. */
export interface TlsInfo {
  /** `TLSv1.3`, … */
  readonly version: string
  readonly cipher: string
  /** True when both sides agreed on ALPN `postgresql`. */
  readonly hasAlpn: boolean
  /** The server end's certificate in DER form, whichever end we are. */
  readonly serverCertificate: Buffer | null
  /** As a server: the peer's certificate, if it verified; null otherwise. */
  readonly clientCertificate: ClientCertificate | null
  /** As a server: why the certificate that the peer showed is not valid; null otherwise. */
  readonly certificateError: string | null
}

interface ClientCertificate {
  /** CN of the subject, the last one if there are several; '' without. */
  readonly commonName: string
  readonly subject: string
}

export interface Upgraded {
  readonly socket: TLSSocket
  readonly tls: TlsInfo
}

/**
 * The server's handshake over `duplex` (a client that sent SSLRequest, or began with TLS). Rejects
 * with ProtocolError within `timeoutMs`, and with the TLS error; the duplex is destroyed then.
 * A certificate that is missing or not valid is the caller's to judge: it can still tell the peer.
 */
export async function acceptTls(
  duplex: Duplex,
  clientTls: ClientTls,
  files: ClientTlsFiles,
  timeoutMs: number,
): Promise<Upgraded> {
  const socket = new TLSSocket(duplex, {
    isServer: true,
    secureContext: files.secureContext,
    requestCert: clientTls.asksCertificate,
    rejectUnauthorized: false,
    ALPNProtocols: [postgresqlAlpn],
  })
  await handshake(socket, duplex, 'secure', timeoutMs)
  const certificate = clientTls.asksCertificate ? socket.getPeerX509Certificate() : undefined
  const certificateError = certificate === undefined ? null : verifyError(socket)
  const isValid = certificate !== undefined && certificateError === null
  return {
    socket,
    tls: {
      ...sessionFacts(socket),
      serverCertificate: files.certificate,
      clientCertificate: isValid ? clientCertificate(certificate) : null,
      certificateError,
    },
  }
}

/**
 * The client's handshake over `duplex` with `options` of `ServerTls.connectOptions`. Rejects
 * within `timeoutMs`, and with the TLS or certificate error; the duplex is destroyed then.
 */
export async function connectTls(
  duplex: Duplex,
  options: ConnectionOptions,
  timeoutMs: number,
): Promise<Upgraded> {
  const socket = connect({ ...options, socket: duplex })
  await handshake(socket, duplex, 'secureConnect', timeoutMs)
  const serverCertificate = socket.getPeerX509Certificate()?.raw ?? null
  return {
    socket,
    tls: {
      ...sessionFacts(socket),
      serverCertificate,
      clientCertificate: null,
      certificateError: null,
    },
  }
}

function handshake(
  socket: TLSSocket,
  duplex: Duplex,
  doneEvent: 'secure' | 'secureConnect',
  timeoutMs: number,
): Promise<void> {
  // Its failures also show on the TLS socket; without a listener they would end the process.
  duplex.on('error', () => {})
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearTimeout(timer)
      socket.off(doneEvent, onDone).off('error', settle).off('close', onClose)
      if (error === undefined) {
        resolve()
        return
      }
      socket.on('error', () => {})
      socket.destroy()
      duplex.destroy()
      reject(error)
    }
    const onDone = (): void => settle()
    const onClose = (): void => settle(new ProtocolError('connection closed in the TLS handshake'))
    const timer = setTimeout(() => {
      settle(new ProtocolError(`TLS handshake took longer than ${timeoutMs} ms`))
    }, timeoutMs)
    socket.on(doneEvent, onDone).on('error', settle).on('close', onClose)
  })
}

function sessionFacts(socket: TLSSocket): Pick<TlsInfo, 'version' | 'cipher' | 'hasAlpn'> {
  return {
    version: socket.getProtocol() ?? 'unknown',
    cipher: socket.getCipher().name,
    hasAlpn: socket.alpnProtocol === postgresqlAlpn,
  }
}

/** Why a handshake failed, in a word: OpenSSL's own texts are for debugging OpenSSL. */
export function tlsFailure(error: unknown): string {
  if (error instanceof ProtocolError) return error.message
  const { reason, code, message } = error as NodeJS.ErrnoException & { reason?: string }
  return reason ?? code ?? message
}

/**
 * Why the client's certificate chain is not valid; null: it is. Node offers this to its own
 * `tls.Server` only, by the handle; should a version not have it, nothing verifies.
 */
function verifyError(socket: TLSSocket): string | null {
  const handle = (socket as unknown as { _handle?: { verifyError?: () => unknown } | null })._handle
  if (typeof handle?.verifyError !== 'function') return 'this Node.js cannot verify it'
  const error = handle.verifyError()
  if (error === null || error === undefined) return null
  return (error as NodeJS.ErrnoException).code ?? 'unknown reason'
}

function clientCertificate(certificate: X509Certificate): ClientCertificate {
  const commonNames = [certificate.toLegacyObject().subject?.CN ?? []].flat()
  return {
    commonName: commonNames.at(-1) ?? '',
    subject: certificate.subject.replaceAll('\n', ', '),
  }
}
