import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isAbsolute, resolve } from 'node:path'
import { ConfigError } from '../errors.ts'
import { Secret } from './secret.ts'

/** Where files named in the configuration are found and how they are read. */
export interface FileAccess {
  /** Directory that relative names start from. */
  readonly directory: string
  readonly readFile: (path: string) => string
}

const block =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END [A-Z0-9 ]*CERTIFICATE-----/g

/** Reads a PEM file with one or more certificates; throws ConfigError when one is broken. */
export function readCertificates(file: string, path: string, files: FileAccess): string {
  const pem = read(file, path, files)
  const blocks = pem.match(block) ?? []
  if (blocks.length === 0) throw new ConfigError(path, `${file} has no PEM certificate`)
  for (const [index, certificate] of blocks.entries()) {
    try {
      new X509Certificate(certificate)
    } catch (cause) {
      throw new ConfigError(path, `certificate ${index + 1} in ${file} can't be read`, cause)
    }
  }
  return pem
}

/** Reads a private key and checks that it belongs to the certificate. */
export function readPrivateKey(
  file: string,
  path: string,
  certificate: string,
  files: FileAccess,
): Secret {
  const pem = read(file, path, files)
  if (/ENCRYPTED/.test(pem)) {
    throw new ConfigError(path, `the key in ${file} is encrypted; decrypt it with openssl pkey`)
  }
  try {
    const leaf = new X509Certificate(certificate)
    if (leaf.checkPrivateKey(createPrivateKey(pem))) return new Secret(pem)
  } catch (cause) {
    throw new ConfigError(path, `${file} has no PEM private key that can be read`, cause)
  }
  throw new ConfigError(path, `the key in ${file} does not belong to the certificate`)
}

function read(file: string, path: string, files: FileAccess): string {
  try {
    return files.readFile(isAbsolute(file) ? file : resolve(files.directory, file))
  } catch (cause) {
    throw new ConfigError(path, `can't read ${file}: ${reasonOf(cause)}`, cause)
  }
}

/** Why the system refused a file, in words. */
export function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (code === 'ENOENT') return 'no such file'
  if (code === 'EACCES') return 'no permission'
  if (code === 'EISDIR') return 'it is a directory'
  return code === '' ? 'it is no readable file' : code
}
