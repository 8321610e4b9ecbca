import { ConfigError } from '../errors.ts'
import type { Parts } from './run.ts'

/** Each part is loaded when its command runs, so that `--version` need not load a proxy. */
export const parts: Parts = {
  start: async (config, logger, readConfig) => {
    const { startProxy } = await import('../proxy.ts')
    return startProxy(config, logger, readConfig)
  },
  openJudge: async (primary, cluster, database) => {
    const { openLiveJudge } = await import('./live-judge.ts')
    return openLiveJudge(primary, cluster, database)
  },
  demo: async (options) => {
    const { runDemo } = await import('../demo/run-demo.ts').catch((error) => {
      if (!/Cannot find package 'pg'/.test(String(error))) throw error
      throw new ConfigError('', 'pgsplit demo needs the package pg: npm install pg', error)
    })
    const { startDemoProxy } = await import('./start-demo-proxy.ts')
    return runDemo({ ...options, startProxy: startDemoProxy })
  },
}
