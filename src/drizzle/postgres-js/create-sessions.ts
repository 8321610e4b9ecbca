import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import type postgres from 'postgres'
import { databasesLike } from '../database-mold.ts'
import { openDirectDoor } from '../direct/open-direct-door.ts'
import type { Door, SessionMode } from '../door.ts'
import type { AnyModel, ModelConfig, NoModel } from '../installed-drizzle.ts'
import { assertModelOptions, assertSessionOptions, takeApart } from '../option-names.ts'
import { openProxyDoor } from '../proxy/open-proxy-door.ts'
import type { ReadDatabase } from '../read-database.ts'
import type { NodeOptions, ProxyOptions, SessionBehaviour } from '../session-options.ts'
import { Sessions } from '../sessions.ts'
import type { JsConnection, PostgresJsOptions } from './js-connection.ts'
import { jsDriver, jsSettings } from './js-driver.ts'
import { SessionClient } from './session-client.ts'

/** Drizzle's own options, and postgres.js' under `client`. */
type DatabaseOptions<TModel extends AnyModel> = SessionBehaviour &
  ModelConfig<TModel> & {
    /** Options for every connection: `connection`, `types`, `transform`, `onnotice` … */
    readonly client?: PostgresJsOptions
  }

/** Options of `createSessions`: the nodes, or one proxy in front of them. */
export type SessionsOptions<TModel extends AnyModel = NoModel> = (NodeOptions | ProxyOptions) &
  DatabaseOptions<TModel>

/** What `getSession()` gives: where writes may go to the primary, they are there for the compiler, too. */
export type ReadSession<TModel extends AnyModel, Write = 'error'> = Write extends 'primary'
  ? PostgresJsDatabase<TModel>
  : ReadDatabase<PostgresJsDatabase<TModel>>

/**
 * Read and write sessions of Drizzle on postgres.js: as `createSessions` of `pgsplit/drizzle`, with
 * the same options. Throws ConfigError with the path of the first mistake.
 */
export function createSessions<
  TModel extends AnyModel = NoModel,
  const Write extends 'error' | 'primary' = 'error',
>(
  options: SessionsOptions<TModel> & { readonly onWriteInReadSession?: Write },
): Sessions<ReadSession<TModel, Write>, PostgresJsDatabase<TModel>> {
  assertSessionOptions(options)
  const { client = {}, config, nodes } = takeApart<PostgresJsOptions>(options)
  const settings = jsSettings(client)
  // It says in the client's options how it reads and writes values.
  const mold = drizzle({ ...config, client: settings } as never)
  assertModelOptions(config, mold)
  const driver = jsDriver(settings)
  return nodes.proxy === undefined
    ? sessionsOver(openDirectDoor(nodes, driver), mold, settings.options)
    : sessionsOver(openProxyDoor(nodes, driver), mold, settings.options)
}

/** Sessions over whatever door, of databases like `mold`. */
export function sessionsOver<Context, TModel extends AnyModel, Write>(
  door: Door<JsConnection, Context>,
  mold: object,
  clientOptions: postgres.ParsedOptions,
): Sessions<ReadSession<TModel, Write>, PostgresJsDatabase<TModel>> {
  const databaseOver = databasesLike<PostgresJsDatabase<TModel>>(mold)
  const make = (mode: SessionMode, context: () => Context): PostgresJsDatabase<TModel> =>
    databaseOver(new SessionClient(door, mode, context, clientOptions))
  // A read session is the same object, of which the compiler shows less.
  type Made = Sessions<ReadSession<TModel, Write>, PostgresJsDatabase<TModel>, Context>
  return new Sessions(door as Door<never, Context>, make as never) as Made as never
}
