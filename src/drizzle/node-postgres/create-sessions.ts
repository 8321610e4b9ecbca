import type { DrizzleConfig } from 'drizzle-orm'
import { NodePgDatabase, NodePgSession } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import { databaseCompleter } from '../complete-database.ts'
import { openDirectDoor } from '../direct/open-direct-door.ts'
import type { Door, SessionMode } from '../door.ts'
import { type DrizzleParts, drizzleParts } from '../drizzle-parts.ts'
import { assertSessionOptions } from '../option-names.ts'
import { openProxyDoor } from '../proxy/open-proxy-door.ts'
import type { ReadDatabase } from '../read-database.ts'
import type { NodeOptions, ProxyOptions, SessionBehaviour } from '../session-options.ts'
import { Sessions } from '../sessions.ts'
import { type PgClientOptions, pgDriver } from './pg-driver.ts'
import { SessionPool } from './session-pool.ts'

type AnySchema = Record<string, unknown>

/** Drizzle's own options, and node-postgres' under `client`. */
interface DatabaseOptions<TSchema extends AnySchema>
  extends SessionBehaviour,
    DrizzleConfig<TSchema> {
  /** Options for every connection: `application_name`, `statement_timeout`, `types` … */
  readonly client?: PgClientOptions
}

/** Options of `createSessions`: the nodes, or one proxy in front of them. */
export type SessionsOptions<TSchema extends AnySchema = Record<string, never>> = (
  | NodeOptions
  | ProxyOptions
) &
  DatabaseOptions<TSchema>

/** What `getSession()` gives: where writes may go to the primary, they are there for the compiler, too. */
export type ReadSession<TSchema extends AnySchema, Write = 'error'> = Write extends 'primary'
  ? NodePgDatabase<TSchema>
  : ReadDatabase<NodePgDatabase<TSchema>>

/**
 * Read and write sessions of Drizzle on node-postgres: reads on the best replica, writes on the
 * primary, by the same core as the proxy (README, "In your process"). Returns at once; statements
 * wait until the nodes were looked at. Throws ConfigError with the path of the first mistake.
 */
export function createSessions<
  TSchema extends AnySchema = Record<string, never>,
  const Write extends 'error' | 'primary' = 'error',
>(
  options: SessionsOptions<TSchema> & { readonly onWriteInReadSession?: Write },
): Sessions<ReadSession<TSchema, Write>, NodePgDatabase<TSchema>> {
  assertSessionOptions(options)
  const { schema, casing, logger, cache, client = {}, ...rest } = options
  const parts = drizzleParts<TSchema>({ schema, casing, logger, cache })
  const driver = pgDriver(client)
  return rest.proxy === undefined
    ? sessionsOver(openDirectDoor(rest, driver), parts)
    : sessionsOver(openProxyDoor(rest, driver), parts)
}

/** Sessions over whatever door. */
export function sessionsOver<Context, TSchema extends AnySchema, Write>(
  door: Door<pg.ClientBase, Context>,
  parts: DrizzleParts<TSchema>,
): Sessions<ReadSession<TSchema, Write>, NodePgDatabase<TSchema>> {
  const { dialect, schema, options } = parts
  const complete = databaseCompleter(parts)
  const make = (mode: SessionMode, context: () => Context): NodePgDatabase<TSchema> => {
    const pool = new SessionPool(door, mode, context) as unknown as pg.Pool
    const session = new NodePgSession(pool, dialect, schema, options)
    return complete(new NodePgDatabase<TSchema>(dialect, session, undefined), pool, session)
  }
  // A read session is the same object, of which the compiler shows less.
  type Made = Sessions<ReadSession<TSchema, Write>, NodePgDatabase<TSchema>, Context>
  return new Sessions(door as Door<never, Context>, make as never) as Made as never
}
