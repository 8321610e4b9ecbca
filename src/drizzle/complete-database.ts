import { type DrizzleParts, shownCache } from './drizzle-parts.ts'
import { type AnySession, tableQueries } from './table-queries.ts'

/** What `drizzle()` adds to a database that was made. */
interface Added {
  $client: unknown
  $cache?: unknown
  query: object
  _: object
}

/**
 * Completes the databases of sessions as `drizzle()` does. They are made without their schema: their
 * constructor would make all that `tableQueries` makes when it is asked for. Plain assignments, as a
 * session is made for each query of some applications.
 */
export function databaseCompleter<TSchema extends Record<string, unknown>>(
  parts: DrizzleParts<TSchema>,
): <Db extends object>(db: Db, client: unknown, session: AnySession) => Db {
  const { schema, options } = parts
  const queriesOf = tableQueries(parts)
  const cache = shownCache(options)
  return (db, client, session) => {
    const made = db as unknown as Added
    made.$client = client
    if (cache !== undefined) made.$cache = cache
    if (schema !== undefined) {
      made.query = queriesOf(session)
      made._ = {
        schema: schema.schema,
        fullSchema: schema.fullSchema,
        tableNamesMap: schema.tableNamesMap,
        session,
      }
    }
    return db
  }
}
