import type { TableRelationalConfig, TablesRelationalConfig } from 'drizzle-orm'
import type { PgSession, PgTable } from 'drizzle-orm/pg-core'
import { RelationalQueryBuilder } from 'drizzle-orm/pg-core/query-builders/query'
import type { DrizzleParts } from './drizzle-parts.ts'

/** Drizzle's sessions are invariant in their schema. */
// biome-ignore lint/suspicious/noExplicitAny: as in Drizzle's own constructor of PgDatabase
export type AnySession = PgSession<any, any, any>

/**
 * Gives sessions their `db.query`: a builder of relational queries for each table. Drizzle makes all
 * of them in the constructor, which would be most of the cost of a session; here each is made when it
 * is asked for.
 */
export function tableQueries<TSchema extends Record<string, unknown>>({
  schema,
  dialect,
}: DrizzleParts<TSchema>): (session: AnySession) => object {
  class TableQueries {
    readonly #session: PgSession

    constructor(session: PgSession) {
      this.#session = session
    }

    static of(queries: TableQueries): PgSession {
      return queries.#session
    }
  }
  if (schema !== undefined) {
    const { fullSchema, tableNamesMap } = schema
    const tables: TablesRelationalConfig = schema.schema
    for (const [name, config] of Object.entries<TableRelationalConfig>(tables)) {
      const get = function (this: TableQueries): unknown {
        const session = TableQueries.of(this)
        const table = fullSchema[name] as PgTable
        return new RelationalQueryBuilder(
          fullSchema,
          tables,
          tableNamesMap,
          table,
          config,
          dialect,
          session,
        )
      }
      Object.defineProperty(TableQueries.prototype, name, { enumerable: true, get })
    }
  }
  return (session) => new TableQueries(session as PgSession)
}
