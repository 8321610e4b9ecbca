import { constants } from 'node:crypto'
import { isIP } from 'node:net'
import {
  type ConnectionOptions,
  checkServerIdentity,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type SecureContextOptions,
} from 'node:tls'
import { ConfigError } from '../errors.ts'
import { assertKeyPair, readCertificates, readConfigured, readPrivateKey } from './pem-files.ts'

/** libpq's words (libpq, "SSL Mode Descriptions"). */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

/** The one application protocol of PostgreSQL over TLS. */
export const postgresqlAlpn = 'postgresql'

/** TLS of our connections to servers, in libpq's terms. */
export interface ServerTlsOptions {
  /** Default `prefer`. */
  readonly sslmode?: SslMode
  /** PEM file of the authorities, or `system`: those of the operating system (verify-full only). */
  readonly sslrootcert?: string
  /** PEM file of revoked certificates. */
  readonly sslcrl?: string
  /** PEM files of the certificate that we show, and its key. */
  readonly sslcert?: string
  readonly sslkey?: string
  readonly sslpassword?: string
  /** Send the host's name in the clear (SNI). Default true. */
  readonly sslsni?: boolean
  /** `direct`: TLS from the first byte (PostgreSQL 17 and later). Default `postgres`. */
  readonly sslnegotiation?: 'postgres' | 'direct'
  /** Default `TLSv1.2`. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
}

/** `ServerTlsOptions`, checked and read. */
export interface ServerTls {
  readonly sslmode: SslMode
  readonly isDirect: boolean
  /** What `tls.connect` gets besides the socket; `host` as it was dialled. */
  connectOptions(host: string): ConnectionOptions
}

/** No TLS and no files: what a node without TLS options gets. */
export const noServerTls: ServerTls = {
  sslmode: 'disable',
  isDirect: false,
  connectOptions: () => ({}),
}

/**
 * Reads and checks what the options name. Throws ConfigError with the option's path below `path`.
 * As in libpq, `require` with an `sslrootcert` verifies like `verify-ca`.
 */
export function loadServerTls(options: ServerTlsOptions, path = 'tls'): ServerTls {
  const sslmode = options.sslmode ?? 'prefer'
  const isDirect = options.sslnegotiation === 'direct'
  if (sslmode === 'disable') return noServerTls
  if (isDirect && (sslmode === 'allow' || sslmode === 'prefer')) {
    throw new ConfigError(
      `${path}.sslnegotiation`,
      `sslmode ${sslmode} may not be used with direct TLS; use require, verify-ca or verify-full`,
    )
  }
  const { sslrootcert } = options
  const mustVerify = sslmode === 'verify-ca' || sslmode === 'verify-full'
  if (mustVerify && sslrootcert === undefined) {
    throw new ConfigError(
      `${path}.sslrootcert`,
      `sslmode ${sslmode} needs the authorities to trust; name a PEM file, or system`,
    )
  }
  if (sslrootcert === 'system' && sslmode !== 'verify-full') {
    throw new ConfigError(
      `${path}.sslmode`,
      `sslmode ${sslmode} is too weak for sslrootcert system; use verify-full`,
    )
  }
  const isVerified = mustVerify || (sslmode === 'require' && sslrootcert !== undefined)
  const secureContext = serverContext(options, path)
  return {
    sslmode,
    isDirect,
    connectOptions: (host) => ({
      secureContext,
      rejectUnauthorized: isVerified,
      ALPNProtocols: [postgresqlAlpn],
      checkServerIdentity: (_name, certificate) =>
        sslmode === 'verify-full' ? checkServerIdentity(host, certificate) : undefined,
      ...(options.sslsni !== false && isIP(host) === 0 ? { servername: host } : {}),
    }),
  }
}

function serverContext(options: ServerTlsOptions, path: string): SecureContext {
  const context: SecureContextOptions = { minVersion: options.minVersion ?? 'TLSv1.2' }
  const { sslrootcert, sslcert, sslkey, sslcrl } = options
  if (sslrootcert === 'system') context.ca = systemAuthorities(`${path}.sslrootcert`)
  else if (sslrootcert !== undefined) {
    context.ca = readCertificates(`${path}.sslrootcert`, sslrootcert).pem
  }
  if (sslcrl !== undefined) context.crl = readConfigured(`${path}.sslcrl`, sslcrl)
  if ((sslcert === undefined) !== (sslkey === undefined)) {
    const missing = sslcert === undefined ? 'sslcert' : 'sslkey'
    throw new ConfigError(`${path}.${missing}`, 'sslcert and sslkey belong together; give both')
  }
  if (sslcert !== undefined && sslkey !== undefined) {
    Object.assign(
      context,
      keyPair(`${path}.sslcert`, sslcert, `${path}.sslkey`, sslkey, options.sslpassword).context,
    )
  }
  return secureContextOf(path, context)
}

function systemAuthorities(path: string): string[] {
  const found = getCACertificates('system')
  if (found.length === 0) {
    throw new ConfigError(path, 'this system has no trusted certificates; name a PEM file')
  }
  return found
}

/** TLS that we offer to clients. */
export interface ClientTlsOptions {
  /**
   * `disable`: none; `allow`, `prefer`: as the client likes; `require`: clients without TLS are
   * refused; `verify-ca`: and must show a certificate of `caFile`; `verify-full`: and it must name
   * their user as its common name. Default `prefer` when there is a certificate, else `disable`.
   */
  readonly mode?: SslMode
  /** PEM file: our certificate, then those between it and the authority. */
  readonly certFile?: string
  readonly keyFile?: string
  readonly keyPassphrase?: string
  /** PEM file of the authorities for clients' certificates. */
  readonly caFile?: string
  readonly crlFile?: string
  /** Default `TLSv1.2`. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL's cipher list for TLS 1.2. */
  readonly ciphers?: string
}

/** One reading of the files that `ClientTlsOptions` names. */
export interface ClientTlsFiles {
  readonly secureContext: SecureContext
  /** Our certificate in DER form, for channel binding. */
  readonly certificate: Buffer
}

/** `ClientTlsOptions`, checked and read; `reload` reads the files again. */
export class ClientTls {
  readonly mode: SslMode
  /** Ask clients for a certificate; whether they must have one says `mode` or the log-in method. */
  readonly asksCertificate: boolean
  #options: ClientTlsOptions
  #path: string
  #files: ClientTlsFiles | null

  /** Throws ConfigError with the option's path below `path`. */
  constructor(options: ClientTlsOptions, path = 'tls') {
    this.mode = options.mode ?? (options.certFile === undefined ? 'disable' : 'prefer')
    this.asksCertificate = options.caFile !== undefined
    this.#options = options
    this.#path = path
    if (this.mustVerify && options.caFile === undefined) {
      throw new ConfigError(
        `${path}.caFile`,
        `mode ${this.mode} needs the authorities of clients' certificates; name a PEM file`,
      )
    }
    this.#files = this.mode === 'disable' ? null : readClientFiles(options, path)
  }

  /** The files as last read; null: no TLS is offered. */
  get files(): ClientTlsFiles | null {
    return this.#files
  }

  get isRequired(): boolean {
    return this.mode === 'require' || this.mustVerify
  }

  get mustVerify(): boolean {
    return this.mode === 'verify-ca' || this.mode === 'verify-full'
  }

  /** Reads the files again, for connections from now on. Throws ConfigError; the old ones stay. */
  reload(): void {
    if (this.mode !== 'disable') this.#files = readClientFiles(this.#options, this.#path)
  }
}

function readClientFiles(options: ClientTlsOptions, path: string): ClientTlsFiles {
  const { certFile, keyFile, caFile, crlFile, ciphers } = options
  if (certFile === undefined) {
    throw new ConfigError(
      `${path}.certFile`,
      'TLS for clients needs a certificate; name a PEM file',
    )
  }
  if (keyFile === undefined) {
    throw new ConfigError(`${path}.keyFile`, "TLS for clients needs the certificate's private key")
  }
  const pair = keyPair(
    `${path}.certFile`,
    certFile,
    `${path}.keyFile`,
    keyFile,
    options.keyPassphrase,
  )
  const secureContext = secureContextOf(path, {
    ...pair.context,
    minVersion: options.minVersion ?? 'TLSv1.2',
    honorCipherOrder: true,
    // As PostgreSQL: no tickets, no renegotiation; nobody resumes sessions with a database.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    sessionIdContext: 'pgsplit',
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(caFile === undefined ? {} : { ca: readCertificates(`${path}.caFile`, caFile).pem }),
    ...(crlFile === undefined ? {} : { crl: readConfigured(`${path}.crlFile`, crlFile) }),
  })
  return { secureContext, certificate: pair.certificate }
}

function keyPair(
  certPath: string,
  certFile: string,
  keyPath: string,
  keyFile: string,
  passphrase?: string,
): { context: SecureContextOptions; certificate: Buffer } {
  const { pem, first } = readCertificates(certPath, certFile)
  const key = readPrivateKey(keyPath, keyFile, passphrase)
  assertKeyPair(keyPath, first, key)
  return {
    certificate: first,
    context: {
      cert: pem.join('\n'),
      key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
    },
  }
}

function secureContextOf(path: string, options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ConfigError(path, `TLS cannot be set up with these files (${reason})`, error)
  }
}
