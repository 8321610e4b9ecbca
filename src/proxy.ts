import type { Config } from './config/config.ts'
import type { DemoNode } from './demo/demo-proxy.ts'
import type { Logger } from './log.ts'

export interface RunningProxy {
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  /** The nodes of all clusters with their counters, for the demo's table. */
  nodes(): readonly DemoNode[]
  stop(options: { readonly drain: boolean }): Promise<void>
}

/** A stub until the composition root is written. */
export async function startProxy(_config: Config, _logger: Logger): Promise<RunningProxy> {
  throw new Error('the proxy is not built yet')
}
