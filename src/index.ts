/**
 * pgsplit inside a program of your own:
 *
 *     const config = parseConfig({ clusters: { main: { primary: 'postgres://…' } } })
 *     const proxy = await startProxy(config, createLogger(config.log))
 *     proxy.addresses // where clients connect
 *     await proxy.stop({ drain: true })
 */
export type { Config } from './config/config.ts'
export { loadConfigFile } from './config/load-config-file.ts'
export { type ParseOptions, parseConfig } from './config/parse-config.ts'
export { ConfigError, PgSplitError } from './errors.ts'
export { createLogger, type Logger, type LogOptions, type LogTarget } from './log.ts'
export { type NodeStatus, type RunningProxy, startProxy } from './proxy.ts'
