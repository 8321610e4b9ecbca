import type postgres from 'postgres'
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
import { clientAddress, connectionOptions, optionsOf } from './client-address.ts'
import { sessionsOver } from './create-sessions.ts'
import { jsDriver } from './js-driver.ts'

/**
 * In place of Drizzle's `withReplicas`, as that of `pgsplit/drizzle`, for databases over postgres.js.
 * Throws ConfigError for a database whose client can't be understood.
 */
export function withReplicas<Db extends { readonly $client: unknown }>(
  primary: Db,
  replicas: [Db, ...Db[]],
  getReplica?: ((replicas: Db[]) => Db) | ReplicaOptions,
  options: ReplicaOptions = typeof getReplica === 'object' ? getReplica : {},
): ReplicatedDatabase<Db> {
  assertReplicaOptions(options)
  const own = optionsOf(primary.$client, 'primary')
  const nodes = nodesOf(primary, replicas, options, clientAddress, own.max)
  // `drizzle()` has set how it reads and writes values.
  const { parsers, serializers } = own
  const driver = jsDriver({ client: connectionOptions(own), parsers, serializers })
  const door = openDirectDoor(nodes, driver)
  const sessions: unknown = sessionsOver(door, primary, own as postgres.ParsedOptions)
  return replicated(primary, replicas, sessions as Sessions<AnyDatabase, AnyDatabase>)
}
