import { ClusterCore } from '../../core/cluster-core.ts'
import { mostReads } from '../../pool/claim.ts'
import { noRoomForReads } from '../door-error.ts'
import { assertBindable, type Driver, type NodeTarget } from '../driver-pool.ts'
import {
  eventLog,
  type NodeOptions,
  named,
  type ResolvedOptions,
  resolveOptions,
  type SessionBehaviour,
} from '../session-options.ts'
import { DirectDoor } from './direct-door.ts'
import { LoginRefusals } from './login-refusals.ts'
import { NodePools } from './node-pools.ts'

/** How long what runs at a node that leaves may go on, ms. */
const drainTimeoutMs = 30_000

/** Begins to watch the nodes; the door is of use at once, its first statements wait for that. Throws ConfigError. */
export function openDirectDoor<Connection>(
  options: NodeOptions & SessionBehaviour,
  driver: Driver<Connection>,
): DirectDoor<Connection> {
  const { onEvent, onWriteInReadSession = 'error', ...nodes } = options
  const resolved = resolveOptions(nodes)
  const { config } = resolved
  assertBindable(config.nodes, driver)
  const uses = new Map<string, NodePools<Connection>>()
  const log = eventLog(onEvent)
  const core = named(
    () => new ClusterCore<NodePools<Connection>>({ config, log, drainTimeoutMs, uses }),
  )
  const { size, keptShare, checkoutTimeoutMs } = config.pool
  const mostReadsBeside = mostReads(size, 0, keptShare)
  const refusals = new LoginRefusals(
    log,
    (nodeIndex) => core.node(nodeIndex).name,
    (nodeIndex) => targetOf(core, resolved, nodeIndex),
  )
  const pools = new NodePools<Connection>({
    open: (nodeIndex) =>
      driver.open(targetOf(core, resolved, nodeIndex), {
        ...config.pool,
        onLogin: () => refusals.end(nodeIndex),
      }),
    size,
    // Writes have no other place than the primary.
    mostReads: (nodeIndex) =>
      core.isReplica(nodeIndex) ? Number.POSITIVE_INFINITY : mostReadsBeside,
    checkoutTimeoutMs,
    noRoom: (nodeIndex, waiting) =>
      noRoomForReads(core.node(nodeIndex).name, mostReadsBeside, config.pool, waiting),
  })
  uses.set('sessions', pools)
  const { database } = resolved.discovered
  return new DirectDoor({ core, database, pools, refusals, driver, onWriteInReadSession })
}

function targetOf<Connection>(
  core: ClusterCore<NodePools<Connection>>,
  { logins, discovered }: ResolvedOptions,
  nodeIndex: number,
): NodeTarget {
  const { host, port, role, keepAliveIdleMs } = core.node(nodeIndex)
  const login = role === 'any' ? discovered : (logins[nodeIndex] ?? discovered)
  const { user, password, database } = login
  return {
    host,
    port,
    user,
    password: password?.reveal(),
    database,
    settings: core.settings.forLogin(nodeIndex, user, database),
    ssl: core.dialTls(nodeIndex),
    isDirectTls: core.tls(nodeIndex).isDirect,
    isBound: core.tls(nodeIndex).channelBinding === 'require',
    keepAliveIdleMs,
  }
}
