import type { NodeConfig } from '../config/config.ts'
import type { ServerTls } from '../net/tls-options.ts'
import { mayDiffer, tlsAttempts } from '../node-client.ts'
import { type OpenProbe, pgProbeOpener } from '../topology/probe-connection.ts'

/**
 * Probe connections as the monitor's role, with sslmode's attempts in libpq's order. What worked is
 * tried first the next time, so that a probe normally dials once.
 */
export function probeOpener(nodes: readonly NodeConfig[], tls: readonly ServerTls[]): OpenProbe {
  const worked = new Map<number, number>()
  return async (spec, call) => {
    const node = nodes[spec.index] as NodeConfig
    const attempts = tlsAttempts(tls[spec.index] as ServerTls, node.host)
    const password = node.login.password?.reveal()
    const first = worked.get(spec.index) ?? 0
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
        worked.set(spec.index, index)
        return connection
      } catch (error) {
        if (at === order.length - 1 || !mayDiffer(error)) throw error
      }
    }
    throw new Error('unreachable: sslmode gives at least one attempt')
  }
}
