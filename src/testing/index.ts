/**
 * A replicated PostgreSQL with pgsplit in front of it, for the tests of an application:
 *
 *     const postgres = await new ReplicatedPostgresContainer('postgres:17').withReplicas(2).start()
 *     const postgres = await startEmbedded({ replicas: 2 }) // without a container engine
 *     new pg.Pool({ connectionString: postgres.uri })
 *     await postgres.stop()
 */
export { EmbeddedError } from '../embedded/embedded-error.ts'
export type { NodeStatus } from '../index.ts'
export type { ReplicatedPostgres, ReplicatedPostgresOptions } from './replicated-postgres.ts'
export { ReplicatedPostgresContainer } from './replicated-postgres-container.ts'
export { type EmbeddedPostgresOptions, startEmbedded } from './start-embedded.ts'
export { TestingError } from './testing-error.ts'
