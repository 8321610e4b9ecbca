import type { Parts } from './run.ts'

/** Each part is loaded when its command runs, so that `--version` need not load a proxy. */
export const parts: Parts = {
  start: async (config, logger) => {
    const { startProxy } = await import('../proxy.ts')
    return startProxy(config, logger)
  },
  openJudge: async () => {
    throw new Error('explain is not built yet')
  },
  demo: async () => {
    throw new Error('the demo is not built yet')
  },
}
