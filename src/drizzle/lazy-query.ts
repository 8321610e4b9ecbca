import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'

type AnyDatabase = PgDatabase<PgQueryResultHKT, Record<string, unknown>>

/**
 * Gives `db` the relational queries of `full` when they are asked for first: Drizzle makes a builder
 * for each table in the constructor, which would be most of the cost of a session.
 */
export function lazyQuery<Db extends AnyDatabase>(db: Db, full: () => Db): Db {
  let made: Db | undefined
  const whole = (): Db => {
    made ??= full()
    return made
  }
  Object.defineProperty(db, 'query', {
    configurable: true,
    enumerable: true,
    get: () => whole().query,
  })
  Object.defineProperty(db, '_', { configurable: true, enumerable: true, get: () => whole()._ })
  return db
}
