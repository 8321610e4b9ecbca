import type { StatementClass } from '../sql/statement-class.ts'
import { backend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'

let nextId = 1

/** A statement that is kept on server connections only to be in the way of a Parse. */
export const takenName = 'pgsplit_taken'

/** Where SQL PREPARE has a statement's name and its query, bytes from the start of its text. */
export interface PrepareSpots {
  readonly from: number
  readonly to: number
  readonly bodyFrom: number
}

/**
 * What a client's Parse or PREPARE said, shared by every client of one user and database that says
 * the same: on server connections it exists under `serverName`, prepared there when it is first
 * needed. It has one result type for ever: when that changes, the next Parse makes a new statement.
 */
export class PreparedStatement {
  readonly serverName: string
  /** The Parse message behind the name: text, NUL, parameter count, type OIDs; or PREPARE's text. */
  readonly body: Buffer
  /** Length of the text in `body`, without the NUL. */
  readonly textBytes: number
  /** Of SQL PREPARE only. */
  readonly spots: PrepareSpots | null
  cls: StatementClass
  /** Version of the catalog that `cls` was judged by. */
  catalogVersion: number
  /** Version of the catalog when it was first prepared. */
  readonly bornAt: number
  /** Sessions that have it under some name; at 0 it may be forgotten. */
  users = 0
  /** Names and types of its result as first prepared (`resultShape`); null = not known. */
  shape: Buffer | null = null
  /** Version of the catalog that `shape` was last found right by. */
  shapeVersion: number
  /** Its result type has changed: PostgreSQL runs it no more. */
  isStale = false

  /** What it is found by: lexing mode, settings and body. */
  readonly key: string
  /** The shared statement that a session has under its own name on a connection of its own. */
  readonly shared: PreparedStatement | null

  constructor(
    key: string,
    body: Buffer,
    textBytes: number,
    cls: StatementClass,
    catalogVersion: number,
    spots: PrepareSpots | null = null,
    own: { readonly name: string; readonly shared: PreparedStatement } | null = null,
  ) {
    this.key = key
    this.serverName = own?.name ?? `pgsplit_${nextId++}`
    this.shared = own?.shared ?? null
    this.body = body
    this.textBytes = textBytes
    this.spots = spots
    this.cls = cls
    this.catalogVersion = catalogVersion
    this.bornAt = catalogVersion
    this.shapeVersion = catalogVersion
  }

  /** The same under the client's own name. */
  under(name: string): PreparedStatement {
    const { key, body, textBytes, cls, catalogVersion, spots } = this
    const own = { name, shared: this }
    return new PreparedStatement(key, body, textBytes, cls, catalogVersion, spots, own)
  }
}

/** Statements by their content, for one user and database. */
export class StatementRegistry {
  #byBody = new Map<string, PreparedStatement>()
  /**
   * "cached plan must not change result type" as a server has said it last, for server connections
   * that never had the statement of which it is to be said.
   */
  staleness: Buffer = stalenessError()

  get size(): number {
    return this.#byBody.size
  }

  find(key: string): PreparedStatement | undefined {
    return this.#byBody.get(key)
  }

  add(statement: PreparedStatement): void {
    this.#byBody.set(statement.key, statement)
  }

  /** The next Parse of the same text makes a new statement; who has the old one keeps it. */
  retire(statement: PreparedStatement): void {
    if (this.#byBody.get(statement.key) === statement) this.#byBody.delete(statement.key)
  }

  /** Gives back one use; the last one forgets the statement (servers drop theirs by their LRU). */
  release(given: PreparedStatement): void {
    const statement = given.shared ?? given
    statement.users--
    if (statement.users > 0) return
    if (this.#byBody.get(statement.key) === statement) this.#byBody.delete(statement.key)
  }
}

function stalenessError(): Buffer {
  const writer = new Writer()
  writer.begin(backend.errorResponse)
  for (const field of [
    'SERROR',
    'VERROR',
    'C0A000',
    'Mcached plan must not change result type',
    'Fplancache.c',
    'RRevalidateCachedQuery',
  ]) {
    writer.string(field)
  }
  return writer.byte(0).end().take()
}
