import type { StatementClass } from '../sql/statement-class.ts'

let nextId = 1

/**
 * What a client's Parse said, shared by every client of one user and database that says the same:
 * on server connections it exists under `serverName`, prepared there when it is first needed.
 */
export class PreparedStatement {
  readonly serverName: string
  /** The Parse message behind the name: text, NUL, parameter count, type OIDs. */
  readonly body: Buffer
  /** Length of the text in `body`, without the NUL. */
  readonly textBytes: number
  cls: StatementClass
  /** Version of the catalog that `cls` was judged by. */
  catalogVersion: number
  /** Sessions that have it under some name; at 0 it may be forgotten. */
  users = 0

  /** What it is found by: lexing mode and body. */
  readonly key: string

  constructor(
    key: string,
    body: Buffer,
    textBytes: number,
    cls: StatementClass,
    catalogVersion: number,
  ) {
    this.key = key
    this.serverName = `pgsplit_${nextId++}`
    this.body = body
    this.textBytes = textBytes
    this.cls = cls
    this.catalogVersion = catalogVersion
  }
}

/** Statements by their content, for one user and database. */
export class StatementRegistry {
  #byBody = new Map<string, PreparedStatement>()

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
  release(statement: PreparedStatement): void {
    statement.users--
    if (statement.users > 0) return
    if (this.#byBody.get(statement.key) === statement) this.#byBody.delete(statement.key)
  }
}
