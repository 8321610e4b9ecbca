/**
 * pgsplit inside a program of your own:
 *
 *     const config = parseConfig({ clusters: { main: { primary: 'postgres://…' } } })
 *     const proxy = await startProxy(config, createLogger(config.log))
 *     proxy.addresses // where clients connect
 *     await proxy.stop({ drain: true })
 */
import type { Config } from './config/config.ts'
import type { Logger } from './log.ts'
import type { NodeStatus } from './node-status.ts'
import { startProxy as start } from './proxy.ts'

export { loadConfigFile } from './config/load-config-file.ts'
export { type ParseOptions, parseConfig } from './config/parse-config.ts'
export { ConfigError, PgSplitError } from './errors.ts'
export { createLogger, type LogOptions, type LogTarget } from './log.ts'
export type { Config, Logger, NodeStatus }

/** A pgsplit that runs. */
export interface PgSplit {
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  /** What each node of the first cluster does; the counters only grow. */
  nodes(): readonly NodeStatus[]
  /** Stops accepting; with `drain`, requests in flight get `limits.drainTimeout` to finish. */
  stop(options: { readonly drain: boolean }): Promise<void>
}

/**
 * Starts what the configuration names. Resolves when clients are accepted and every node was probed
 * once, whatever came of it. Rejects with ConfigError for an address that can't be had.
 */
export function startProxy(config: Config, logger: Logger): Promise<PgSplit> {
  return start(config, logger)
}
