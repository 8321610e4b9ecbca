import { ConfigError } from '../errors.ts'
import type { ClientTlsConfig, ServerTlsConfig, SslMode } from './config.ts'
import { type FileAccess, readCertificates, readPrivateKey } from './pem.ts'
import { show } from './scalars.ts'
import type { ConfigInput } from './schema.ts'

const sslModes: readonly string[] = [
  'disable',
  'allow',
  'prefer',
  'require',
  'verify-ca',
  'verify-full',
] satisfies SslMode[]

function isSslMode(word: string): word is SslMode {
  return sslModes.includes(word)
}

/** The options of TLS to a node as given in its URL or in the cluster's `tls`. */
export interface ServerTlsInput {
  readonly sslmode?: string | undefined
  readonly sslrootcert?: string | undefined
  readonly sslcert?: string | undefined
  readonly sslkey?: string | undefined
}

/**
 * Reads the files of TLS to a node. `sslrootcert: system` means libpq's: the known public
 * authorities, and nothing weaker than verify-full (libpq-connect, "sslrootcert").
 */
export function resolveServerTls(
  input: ServerTlsInput,
  path: string,
  files: FileAccess,
): ServerTlsConfig {
  const { sslrootcert: root, sslcert, sslkey } = input
  const sslmode = input.sslmode ?? (root === 'system' ? 'verify-full' : 'prefer')
  if (!isSslMode(sslmode)) {
    throw new ConfigError(path, `sslmode ${show(sslmode)} is none of ${sslModes.join(', ')}`)
  }
  if (sslmode.startsWith('verify-') && root === undefined) {
    throw new ConfigError(path, `sslmode ${sslmode} needs sslrootcert: a PEM file, or system`)
  }
  if (root === 'system' && sslmode !== 'verify-full') {
    throw new ConfigError(path, `sslrootcert system needs sslmode verify-full, not ${sslmode}`)
  }
  const [cert, key] = readPair(sslcert, sslkey, path, ['sslcert', 'sslkey'], files)
  return {
    sslmode,
    rootCert: root === undefined || root === 'system' ? root : readCertificates(root, path, files),
    cert,
    key,
  }
}

/** Reads the files of TLS from the clients; the mode defaults by whether there is a certificate. */
export function resolveClientTls(tls: ConfigInput['tls'], files: FileAccess): ClientTlsConfig {
  const mode = tls.mode ?? (tls.cert === undefined ? 'disable' : 'allow')
  const [cert, key] = readPair(tls.cert, tls.key, 'tls', ['cert', 'key'], files)
  if (mode !== 'disable' && cert === undefined) {
    throw new ConfigError('tls.cert', `is missing; mode ${mode} needs cert and key`)
  }
  if (mode.startsWith('verify-') && tls.ca === undefined) {
    throw new ConfigError('tls.ca', `is missing; mode ${mode} needs the clients' authority`)
  }
  const ca = tls.ca === undefined ? undefined : readCertificates(tls.ca, 'tls.ca', files)
  return { mode, cert, key, ca }
}

function readPair(
  cert: string | undefined,
  key: string | undefined,
  path: string,
  [certName, keyName]: readonly [string, string],
  files: FileAccess,
) {
  if (cert === undefined && key === undefined) return [undefined, undefined] as const
  if (cert === undefined) {
    throw new ConfigError(`${path}.${certName}`, `is missing; ${keyName} alone is of no use`)
  }
  if (key === undefined) {
    throw new ConfigError(`${path}.${keyName}`, `is missing; ${certName} needs its private key`)
  }
  const pem = readCertificates(cert, `${path}.${certName}`, files)
  return [pem, readPrivateKey(key, `${path}.${keyName}`, pem, files)] as const
}
