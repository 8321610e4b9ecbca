/**
 * `pgsplit/drizzle/postgres-js`: read and write sessions for Drizzle on postgres.js, as
 * `pgsplit/drizzle` gives them on node-postgres.
 */
export { ConfigError, PgSplitError } from '../../errors.ts'
export type { ContextCarrier } from '../context-carrier.ts'
export type { DoorNode, DoorSnapshot } from '../door.ts'
export { DoorError } from '../door-error.ts'
export type { ReadDatabase, ReadTransaction, ReadTransactionConfig } from '../read-database.ts'
export type { ReplicaOptions, ReplicatedDatabase } from '../replicated.ts'
export type {
  AppLogin,
  DoorEvent,
  NodeOptions,
  ProxyOptions,
  SessionBehaviour,
} from '../session-options.ts'
export type { Sessions } from '../sessions.ts'
export type { Middleware } from '../web/middleware.ts'
export type { MiddlewareOptions } from '../web/middleware-options.ts'
export { createSessions, type ReadSession, type SessionsOptions } from './create-sessions.ts'
export type { PostgresJsOptions } from './js-connection.ts'
export { withReplicas } from './with-replicas.ts'
