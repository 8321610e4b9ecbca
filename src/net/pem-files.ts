import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { ConfigError } from '../errors.ts'

const pemCertificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** Text of a file named in the configuration at `path`. Throws ConfigError. */
export function readConfigured(path: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    throw new ConfigError(path, `cannot read ${file} (${code})`, error)
  }
}

/** All certificates of a PEM file, in its order; at least one. Throws ConfigError. */
export function readCertificates(path: string, file: string): { pem: string[]; first: Buffer } {
  const pem = readConfigured(path, file).match(pemCertificate) ?? []
  let first: Buffer | undefined
  try {
    for (const text of pem) first ??= new X509Certificate(text).raw
  } catch (error) {
    throw new ConfigError(path, `${file} holds a certificate that cannot be read`, error)
  }
  if (first === undefined) {
    throw new ConfigError(path, `${file} holds no certificate in PEM form`)
  }
  return { pem: [...pem], first }
}

/** A private key in PEM form. Throws ConfigError, which never quotes the file. */
function readPrivateKey(path: string, file: string, passphrase?: string): KeyObject {
  const key = readConfigured(path, file)
  try {
    return createPrivateKey(passphrase === undefined ? { key } : { key, passphrase })
  } catch (error) {
    const isLocked = (error as NodeJS.ErrnoException).code === 'ERR_MISSING_PASSPHRASE'
    throw new ConfigError(
      path,
      isLocked
        ? `${file} is encrypted; give its passphrase`
        : `${file} holds no private key that can be read`,
    )
  }
}

/** A certificate (with those between it and its authority) and its private key. Throws ConfigError. */
export function readKeyPair(
  certPath: string,
  certFile: string,
  keyPath: string,
  keyFile: string,
  passphrase?: string,
): { context: SecureContextOptions; certificate: Buffer } {
  const { pem, first } = readCertificates(certPath, certFile)
  const key = readPrivateKey(keyPath, keyFile, passphrase)
  if (!new X509Certificate(first).checkPrivateKey(key)) {
    throw new ConfigError(keyPath, 'the private key does not belong to the certificate')
  }
  return {
    certificate: first,
    context: {
      cert: pem.join('\n'),
      key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
    },
  }
}

/** `createSecureContext`, with ConfigError for what only OpenSSL finds wrong. */
export function secureContextOf(path: string, options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ConfigError(path, `TLS cannot be set up with these files (${reason})`, error)
  }
}
