import { constants } from 'node:crypto'
import type { SecureContext, SecureContextOptions } from 'node:tls'
import { ConfigError } from '../errors.ts'
import { readCertificates, readConfigured, readKeyPair, secureContextOf } from './pem-files.ts'
import type { SslMode } from './tls-options.ts'

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
  /** What it was made of: for servers that make their own. */
  readonly options: SecureContextOptions
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
  const pair = readKeyPair(
    `${path}.certFile`,
    certFile,
    `${path}.keyFile`,
    keyFile,
    options.keyPassphrase,
  )
  const given: SecureContextOptions = {
    ...pair.context,
    minVersion: options.minVersion ?? 'TLSv1.2',
    honorCipherOrder: true,
    // As PostgreSQL: no tickets, no renegotiation; nobody resumes sessions with a database.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    sessionIdContext: 'pgsplit',
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(caFile === undefined ? {} : { ca: readCertificates(`${path}.caFile`, caFile).pem }),
    ...(crlFile === undefined ? {} : { crl: readConfigured(`${path}.crlFile`, crlFile) }),
  }
  const secureContext = secureContextOf(path, given)
  return { secureContext, options: given, certificate: pair.certificate }
}
