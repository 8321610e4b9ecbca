/** Reads one database's catalog over a connection of the primary. */
import type { CatalogSets } from '../sql/catalog-sets.ts'
import {
  AGGREGATES,
  BEGIN_LOAD,
  CASTS,
  CHANGE_PROBE,
  COLUMNS,
  END_LOAD,
  functionsQuery,
  INHERITANCE,
  NODE_PARAMETERS,
  OPERATORS,
  RELATIONS,
  SERVER,
  SESSION_SETUP,
  TREES,
  typesQuery,
} from './catalog-queries.ts'
import { type CatalogRows, flag, integer, type Queryable, type Row, text } from './catalog-rows.ts'
import { deriveSets } from './derive-sets.ts'

/** Settings of the connection; once, before anything else. */
export async function prepareConnection(connection: Queryable): Promise<void> {
  await connection.query(SESSION_SETUP)
}

/**
 * The sets of the connection's database, from one snapshot. 50 to 100 ms on a schema of hundreds of
 * relations. Fails when the server is a standby, which may be behind.
 */
export async function loadCatalog(connection: Queryable): Promise<CatalogSets> {
  return deriveSets(await loadRows(connection))
}

/** What `loadCatalog` derives the sets from. */
async function loadRows(connection: Queryable): Promise<CatalogRows> {
  const all = async (sql: string): Promise<readonly Row[]> => (await connection.query(sql)).rows
  await connection.query(BEGIN_LOAD)
  try {
    const server = (await all(SERVER))[0] ?? {}
    const version = integer(server, 'version')
    if (flag(server, 'standby')) throw new Error('the catalog was asked of a standby')
    const rows: CatalogRows = {
      serverVersion: version,
      functions: await all(functionsQuery(version)),
      aggregates: await all(AGGREGATES),
      operators: await all(OPERATORS),
      casts: await all(CASTS),
      types: await all(typesQuery(version)),
      relations: await all(RELATIONS),
      columns: await all(COLUMNS),
      trees: await all(TREES),
      inheritance: await all(INHERITANCE),
      nodeParameters: await all(NODE_PARAMETERS),
    }
    await connection.query(END_LOAD)
    return rows
  } catch (error) {
    await connection.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

/** Texts that are the same as long as the sets, or the defaults of sessions, are. */
export interface Changes {
  readonly state: string
  readonly defaults: string
  readonly reloaded: string
}

/** Fails on a standby. */
export async function probeChanges(connection: Queryable): Promise<Changes> {
  const row = (await connection.query(CHANGE_PROBE)).rows[0] ?? {}
  if (flag(row, 'standby')) throw new Error('the catalog was asked of a standby')
  return {
    state: text(row, 'state'),
    defaults: text(row, 'defaults'),
    reloaded: text(row, 'reloaded'),
  }
}
