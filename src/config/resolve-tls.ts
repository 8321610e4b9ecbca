import { isAbsolute, resolve } from 'node:path'
import { ConfigError } from '../errors.ts'
import {
  ClientTls,
  type ClientTlsOptions,
  loadServerTls,
  type ServerTlsOptions,
  type SslMode,
} from '../net/tls-options.ts'
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

/** The options of TLS to a node, as its URL and the cluster's `tls` together give them. */
export interface ServerTlsInput {
  readonly sslmode: string | undefined
  readonly sslrootcert: string | undefined
  readonly sslcert: string | undefined
  readonly sslkey: string | undefined
  readonly sslnegotiation: string | undefined
  readonly sslpassword: ServerTlsOptions['sslpassword'] | undefined
  readonly sslcrl: string | undefined
  readonly sslsni: boolean | undefined
  readonly minVersion: ServerTlsOptions['minVersion'] | undefined
  readonly channelBinding: ServerTlsOptions['channelBinding'] | undefined
}

/**
 * Options with file names made absolute, tried once so that a bad certificate is found now.
 * `sslrootcert: system` alone means verify-full (libpq-connect, "sslrootcert").
 */
export function resolveServerTls(
  input: ServerTlsInput,
  path: string,
  directory: string,
): ServerTlsOptions {
  const { sslrootcert: root, sslcert, sslkey, sslnegotiation } = input
  const sslmode = input.sslmode ?? (root === 'system' ? 'verify-full' : 'prefer')
  if (!isSslMode(sslmode)) {
    throw new ConfigError(path, `sslmode ${show(sslmode)} is none of ${sslModes.join(', ')}`)
  }
  if (sslnegotiation !== undefined && !['postgres', 'direct'].includes(sslnegotiation)) {
    throw new ConfigError(path, `sslnegotiation ${show(sslnegotiation)} is not postgres or direct`)
  }
  const absolute = (file: string): string => place(file, directory)
  const options: ServerTlsOptions = {
    sslmode,
    ...(root === undefined ? {} : { sslrootcert: root === 'system' ? root : absolute(root) }),
    ...(sslcert === undefined ? {} : { sslcert: absolute(sslcert) }),
    ...(sslkey === undefined ? {} : { sslkey: absolute(sslkey) }),
    ...(sslnegotiation === 'direct' ? { sslnegotiation } : {}),
    ...(input.sslpassword === undefined ? {} : { sslpassword: input.sslpassword }),
    ...(input.sslcrl === undefined ? {} : { sslcrl: absolute(input.sslcrl) }),
    ...(input.sslsni === undefined ? {} : { sslsni: input.sslsni }),
    ...(input.minVersion === undefined ? {} : { minVersion: input.minVersion }),
    ...(input.channelBinding === undefined ? {} : { channelBinding: input.channelBinding }),
  }
  loadServerTls(options, path)
  return options
}

/** The same for TLS from the clients. */
export function resolveClientTls(
  tls: ConfigInput['tls'],
  directory: string,
  path = 'tls',
  withCertificate: SslMode = 'allow',
): ClientTlsOptions {
  const options: ClientTlsOptions = {
    mode: tls.mode ?? (tls.cert === undefined ? 'disable' : withCertificate),
    ...(tls.cert === undefined ? {} : { certFile: place(tls.cert, directory) }),
    ...(tls.key === undefined ? {} : { keyFile: place(tls.key, directory) }),
    ...(tls.ca === undefined ? {} : { caFile: place(tls.ca, directory) }),
  }
  try {
    new ClientTls(options, path)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const message = error.message.slice(error.path.length + 2)
    throw new ConfigError(error.path.replace(/File$/, ''), message, error.cause)
  }
  return options
}

function place(file: string, directory: string): string {
  return isAbsolute(file) ? file : resolve(directory, file)
}
