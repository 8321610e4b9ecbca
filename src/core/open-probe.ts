import type { NodeConfig } from '../config/config.ts'
import type { ServerTls } from '../net/tls-options.ts'
import { mayDiffer, tlsAttempts } from '../node-client.ts'
import { type OpenProbe, pgProbeOpener } from '../topology/probe-connection.ts'

/**
 * Probe connections as the monitor's role, with sslmode's attempts in libpq's order. What worked is
 * tried first the next time, so that a probe normally dials once; it is noted in `worked`.
 */
export function probeOpener(
  nodeOf: (index: number) => { readonly node: NodeConfig; readonly tls: ServerTls } | undefined,
  worked: WeakMap<NodeConfig, number>,
): OpenProbe {
  return async (spec, call) => {
    const found = nodeOf(spec.index)
    if (found === undefined) throw new Error(`node ${spec.id} has left the cluster`)
    const { node, tls } = found
    const attempts = tlsAttempts(tls, node.host)
    const password = node.login.password?.reveal()
    const first = worked.get(node) ?? 0
    const order = [first, ...attempts.keys()].filter((one, at, all) => all.indexOf(one) === at)
    for (const [at, index] of order.entries()) {
      try {
        const open = pgProbeOpener(() => ({
          user: node.login.user,
          database: node.login.database,
          ...(password === undefined ? {} : { password }),
          ssl: attempts[index] ?? false,
        }))
        const connection = await open(spec, call)
        worked.set(node, index)
        return connection
      } catch (error) {
        if (at === order.length - 1 || !mayDiffer(error)) throw error
      }
    }
    throw new Error('unreachable: sslmode gives at least one attempt')
  }
}
