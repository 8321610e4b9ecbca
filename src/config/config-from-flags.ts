import { ConfigError } from '../errors.ts'
import type { Config } from './config.ts'
import { loadConfigFile } from './load-config-file.ts'
import { type ParseOptions, parseConfig } from './parse-config.ts'

/** What can be said on the command line; the texts are what the configuration file would hold. */
export interface ConfigFlags {
  readonly config?: string
  readonly primary?: string
  readonly replica?: readonly string[]
  readonly listen?: readonly string[]
  readonly httpListen?: readonly string[]
  readonly balancer?: string
  readonly maxLag?: string
  readonly poolSize?: string
  readonly poolMode?: string
  readonly auth?: string
  readonly lookup?: string
  readonly maxClients?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly logLevel?: string
  readonly logFormat?: string
}

/** Which option each flag stands for. An error at or below the path names the flag. */
const flagPaths = [
  ['primary', 'clusters.main.primary'],
  ['replica', 'clusters.main.replicas'],
  ['listen', 'listen'],
  ['httpListen', 'http.listen'],
  ['balancer', 'clusters.main.routing.balancer'],
  ['maxLag', 'clusters.main.routing.maxLag'],
  ['poolSize', 'clusters.main.pool.size'],
  ['poolMode', 'clusters.main.pool.mode'],
  ['auth', 'clusters.main.auth.method'],
  ['lookup', 'clusters.main.auth.lookup'],
  ['maxClients', 'limits.maxClients'],
  ['tlsCert', 'tls.cert'],
  ['tlsKey', 'tls.key'],
  ['logLevel', 'log.level'],
  ['logFormat', 'log.format'],
] as const satisfies readonly (readonly [keyof ConfigFlags, string])[]

/** Flags that may stand beside `--config`; they win over the file. */
const besideFile: readonly string[] = ['listen', 'httpListen', 'logLevel', 'logFormat']

/**
 * The same Config as a file with one cluster `main` would give, or that of `--config FILE`.
 * Throws ConfigError; its path is the flag, for example `--replica 2`.
 */
export function configFromFlags(flags: ConfigFlags, options: ParseOptions = {}): Config {
  if (flags.config !== undefined) return fromFile(flags.config, flags, options)
  if (flags.primary === undefined) {
    throw new ConfigError(
      '',
      'no primary; give --primary postgres://user:password@host/postgres or --config pgsplit.yaml',
    )
  }
  try {
    return parseConfig(sectionsOf(flags), options)
  } catch (error) {
    throw named(error, flags)
  }
}

function fromFile(file: string, flags: ConfigFlags, options: ParseOptions): Config {
  const refused = flagPaths.find(([flag]) => isGiven(flags[flag]) && !besideFile.includes(flag))
  if (refused !== undefined) {
    const [flag, path] = refused
    throw new ConfigError(flagName(flag), `not together with --config; set ${path} in ${file}`)
  }
  try {
    return loadConfigFile(file, { ...options, override: sectionsOf(flags) })
  } catch (error) {
    throw named(error, flags)
  }
}

function isGiven(value: string | readonly string[] | undefined): boolean {
  return value !== undefined && value.length > 0
}

function sectionsOf(flags: ConfigFlags): Record<string, unknown> {
  const root: Record<string, unknown> = {}
  for (const [flag, path] of flagPaths) {
    const value = flags[flag]
    if (!isGiven(value)) continue
    const words = path.split('.')
    const last = words.pop() ?? path
    let place = root
    for (const word of words) {
      const inner = (place[word] ?? {}) as Record<string, unknown>
      place[word] = inner
      place = inner
    }
    place[last] = value
  }
  return root
}

function flagName(flag: string): string {
  return `--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

function named(error: unknown, flags: ConfigFlags): unknown {
  if (!(error instanceof ConfigError)) return error
  const found = flagPaths.find(
    ([flag, path]) =>
      isGiven(flags[flag]) && (error.path === path || error.path.startsWith(`${path}[`)),
  )
  if (found === undefined) return error
  const index = /\[(\d+)\]$/.exec(error.path)?.[1]
  const which = index === undefined ? '' : ` ${Number(index) + 1}`
  const message = error.message.slice(error.path.length + 2)
  return new ConfigError(`${flagName(found[0])}${which}`, message, error.cause)
}
