/**
 * `pgsplit/drizzle`: read and write sessions for Drizzle on node-postgres, inside your process.
 *
 *     const sessions = createSessions({ primary: 'postgres://…', replicas: ['postgres://…'], schema })
 *     await sessions.getSession(true).insert(users).values({ name: 'Ada' })
 *     await sessions.getSession().select().from(users)
 *     await sessions.close()
 */
export { ConfigError, PgSplitError } from '../errors.ts'
export type { CarrierOptions, ContextCarrier } from './context-carrier.ts'
export type { DoorNode, DoorSnapshot } from './door.ts'
export { DoorError } from './door-error.ts'
export {
  createSessions,
  type ReadSession,
  type SessionsOptions,
} from './node-postgres/create-sessions.ts'
export { withReplicas } from './node-postgres/with-replicas.ts'
export type { ReadDatabase, ReadTransaction, ReadTransactionConfig } from './read-database.ts'
export type { ReplicaOptions, ReplicatedDatabase } from './replicated.ts'
export type {
  AppLogin,
  DoorEvent,
  NodeOptions,
  ProxyOptions,
  SessionBehaviour,
} from './session-options.ts'
export type { Sessions } from './sessions.ts'
export type { CookieOptions } from './web/cookie-channel.ts'
export type { CookieAttributes } from './web/cookie-text.ts'
export type { HeaderOptions } from './web/header-channel.ts'
export type { Middleware } from './web/middleware.ts'
export type { MiddlewareOptions } from './web/middleware-options.ts'
export type { Secrets } from './web/signed-value.ts'
export type { IgnoredReason } from './web/token-channel.ts'
export type { WebRequest } from './web/web-request.ts'
