import type { DrizzleConfig } from 'drizzle-orm'
import { PostgresJsDatabase, PostgresJsSession } from 'drizzle-orm/postgres-js'
import type postgres from 'postgres'
import { databaseCompleter } from '../complete-database.ts'
import { openDirectDoor } from '../direct/open-direct-door.ts'
import type { Door, SessionMode } from '../door.ts'
import { type DrizzleParts, drizzleParts } from '../drizzle-parts.ts'
import { assertSessionOptions } from '../option-names.ts'
import { openProxyDoor } from '../proxy/open-proxy-door.ts'
import type { ReadDatabase } from '../read-database.ts'
import type { NodeOptions, ProxyOptions, SessionBehaviour } from '../session-options.ts'
import { Sessions } from '../sessions.ts'
import type { JsConnection, PostgresJsOptions } from './js-connection.ts'
import { jsDriver, jsSettings } from './js-driver.ts'
import { SessionClient } from './session-client.ts'

type AnySchema = Record<string, unknown>

/** Drizzle's own options, and postgres.js' under `client`. */
interface DatabaseOptions<TSchema extends AnySchema>
  extends SessionBehaviour,
    DrizzleConfig<TSchema> {
  /** Options for every connection: `connection`, `types`, `transform`, `onnotice` … */
  readonly client?: PostgresJsOptions
}

/** Options of `createSessions`: the nodes, or one proxy in front of them. */
export type SessionsOptions<TSchema extends AnySchema = Record<string, never>> = (
  | NodeOptions
  | ProxyOptions
) &
  DatabaseOptions<TSchema>

/** What `getSession()` gives: where writes may go to the primary, they are there for the compiler, too. */
export type ReadSession<TSchema extends AnySchema, Write = 'error'> = Write extends 'primary'
  ? PostgresJsDatabase<TSchema>
  : ReadDatabase<PostgresJsDatabase<TSchema>>

/**
 * Read and write sessions of Drizzle on postgres.js: as `createSessions` of `pgsplit/drizzle`, with
 * the same options. Throws ConfigError with the path of the first mistake.
 */
export function createSessions<
  TSchema extends AnySchema = Record<string, never>,
  const Write extends 'error' | 'primary' = 'error',
>(
  options: SessionsOptions<TSchema> & { readonly onWriteInReadSession?: Write },
): Sessions<ReadSession<TSchema, Write>, PostgresJsDatabase<TSchema>> {
  assertSessionOptions(options)
  const { schema, casing, logger, cache, client = {}, ...rest } = options
  const parts = drizzleParts<TSchema>({ schema, casing, logger, cache })
  const settings = jsSettings(client)
  const driver = jsDriver(settings)
  return rest.proxy === undefined
    ? sessionsOver(openDirectDoor(rest, driver), parts, settings.options)
    : sessionsOver(openProxyDoor(rest, driver), parts, settings.options)
}

/** Sessions over whatever door. */
export function sessionsOver<Context, TSchema extends AnySchema, Write>(
  door: Door<JsConnection, Context>,
  parts: DrizzleParts<TSchema>,
  clientOptions: postgres.ParsedOptions,
): Sessions<ReadSession<TSchema, Write>, PostgresJsDatabase<TSchema>> {
  const { dialect, schema, options } = parts
  const complete = databaseCompleter(parts)
  const make = (mode: SessionMode, context: () => Context): PostgresJsDatabase<TSchema> => {
    const client = new SessionClient(door, mode, context, clientOptions) as unknown as postgres.Sql
    const session = new PostgresJsSession(client, dialect, schema, options)
    const db = new PostgresJsDatabase<TSchema>(dialect, session as never, undefined)
    return complete(db, client, session)
  }
  // A read session is the same object, of which the compiler shows less.
  type Made = Sessions<ReadSession<TSchema, Write>, PostgresJsDatabase<TSchema>, Context>
  return new Sessions(door as Door<never, Context>, make as never) as Made as never
}
