import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { databasesLike } from '../database-mold.ts'
import { openDirectDoor } from '../direct/open-direct-door.ts'
import type { Door, SessionMode } from '../door.ts'
import type { AnyModel, ModelConfig, NoModel } from '../installed-drizzle.ts'
import { assertModelOptions, assertSessionOptions, takeApart } from '../option-names.ts'
import { openProxyDoor } from '../proxy/open-proxy-door.ts'
import type { ReadDatabase } from '../read-database.ts'
import type { NodeOptions, ProxyOptions, SessionBehaviour } from '../session-options.ts'
import { Sessions } from '../sessions.ts'
import { type PgClientOptions, pgDriver } from './pg-driver.ts'
import { SessionPool } from './session-pool.ts'

/** Drizzle's own options, and node-postgres' under `client`. */
type DatabaseOptions<TModel extends AnyModel> = SessionBehaviour &
  ModelConfig<TModel> & {
    /** Options for every connection: `application_name`, `statement_timeout`, `types` … */
    readonly client?: PgClientOptions
  }

/** Options of `createSessions`: the nodes, or one proxy in front of them. */
export type SessionsOptions<TModel extends AnyModel = NoModel> = (NodeOptions | ProxyOptions) &
  DatabaseOptions<TModel>

/** What `getSession()` gives: where writes may go to the primary, they are there for the compiler, too. */
export type ReadSession<TModel extends AnyModel, Write = 'error'> = Write extends 'primary'
  ? NodePgDatabase<TModel>
  : ReadDatabase<NodePgDatabase<TModel>>

/**
 * Read and write sessions of Drizzle on node-postgres: reads on the best replica, writes on the
 * primary, by the same core as the proxy (docs/programs/drizzle.md). Returns at once; statements
 * wait until the nodes were looked at. Throws ConfigError with the path of the first mistake.
 */
export function createSessions<
  TModel extends AnyModel = NoModel,
  const Write extends 'error' | 'primary' = 'error',
>(
  options: SessionsOptions<TModel> & { readonly onWriteInReadSession?: Write },
): Sessions<ReadSession<TModel, Write>, NodePgDatabase<TModel>> {
  assertSessionOptions(options)
  const { client = {}, config, nodes } = takeApart<PgClientOptions>(options)
  // It never connects.
  const mold = drizzle({ ...config, client: new pg.Pool() } as never)
  assertModelOptions(config, mold)
  const driver = pgDriver(client)
  return nodes.proxy === undefined
    ? sessionsOver(openDirectDoor(nodes, driver), mold)
    : sessionsOver(openProxyDoor(nodes, driver), mold)
}

/** Sessions over whatever door, of databases like `mold`. */
export function sessionsOver<Context, TModel extends AnyModel, Write>(
  door: Door<pg.ClientBase, Context>,
  mold: object,
): Sessions<ReadSession<TModel, Write>, NodePgDatabase<TModel>> {
  const databaseOver = databasesLike<NodePgDatabase<TModel>>(mold)
  const make = (mode: SessionMode, context: () => Context): NodePgDatabase<TModel> =>
    databaseOver(new SessionPool(door, mode, context))
  // A read session is the same object, of which the compiler shows less.
  type Made = Sessions<ReadSession<TModel, Write>, NodePgDatabase<TModel>, Context>
  return new Sessions(door as Door<never, Context>, make as never) as Made as never
}
