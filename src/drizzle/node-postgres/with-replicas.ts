import { openDirectDoor } from '../direct/open-direct-door.ts'
import { assertReplicaOptions } from '../option-names.ts'
import {
  type AnyDatabase,
  nodesOf,
  type ReplicaOptions,
  type ReplicatedDatabase,
  replicated,
} from '../replicated.ts'
import type { Sessions } from '../sessions.ts'
import { sessionsOver } from './create-sessions.ts'
import { pgDriver } from './pg-driver.ts'
import { clientOptions, poolAddress, poolOf } from './pool-address.ts'

/**
 * In place of Drizzle's `withReplicas`, with the same arguments: databases over pools of
 * node-postgres, the primary's first. What is proved to be a read goes to the best replica, all
 * else to the primary. The application's pools only say where the nodes are; `getReplica` is taken and
 * not called, as the replica is chosen when a statement runs. Throws ConfigError for a database
 * whose pool can't be understood.
 */
export function withReplicas<Db extends { readonly $client: unknown }>(
  primary: Db,
  replicas: [Db, ...Db[]],
  getReplica?: ((replicas: Db[]) => Db) | ReplicaOptions,
  options: ReplicaOptions = typeof getReplica === 'object' ? getReplica : {},
): ReplicatedDatabase<Db> {
  assertReplicaOptions(options)
  const pool = poolOf(primary.$client, 'primary')
  const nodes = nodesOf(primary, replicas, options, poolAddress, pool.options.max)
  const door = openDirectDoor(nodes, pgDriver(clientOptions(pool)))
  const sessions: unknown = sessionsOver(door, primary)
  return replicated(primary, replicas, sessions as Sessions<AnyDatabase, AnyDatabase>)
}
