/**
 * Databases as `drizzle()` makes them, at a fraction of its price: one that it made is the mold of all
 * others, which differ in their client only. So whatever the installed Drizzle does with its
 * configuration is done by itself.
 */

/** What Drizzle's databases are made of, 0.44 to 1.0; most of it is internal there. */
interface Molded {
  readonly dialect: object
  readonly session: MoldedSession
  readonly query: Readonly<Record<string, object>>
  readonly _: object
}

interface MoldedSession {
  readonly options: { readonly cache?: unknown }
  /** Until 0.45. */
  readonly schema?: object
  /** From 1.0 on. */
  readonly relations?: object
}

type NewSession = new (
  client: object,
  dialect: object,
  model: object | undefined,
  options: object,
) => object

type NewDatabase = new (dialect: object, session: object, model: object | undefined) => object

/** What `drizzle()` adds to a database that was made. */
interface Added {
  $client: unknown
  $cache?: unknown
  query: object
  _: object
}

/** Whether the database is one of Drizzle 1.0, whose tables are known by their relations. */
export function hasRelations(database: object): boolean {
  return (database as Molded).session.relations !== undefined
}

/** Gives databases over clients. Plain assignments, as some applications make one for each query. */
export function databasesLike<Db extends object>(mold: object): (client: object) => Db {
  const { dialect, session: model, query, _: config } = mold as Molded
  const Database = mold.constructor as NewDatabase
  const Session = model.constructor as NewSession
  const { options, schema, relations } = model
  const { cache } = options
  // With its tables the constructor would make all that `queriesLike` makes when it is asked for.
  const noTables = relations === undefined ? undefined : {}
  const queriesOf = queriesLike(query)
  const hasQueries = Object.keys(query).length > 0
  return (client) => {
    const session = new Session(client, dialect, relations ?? schema, options)
    const database = new Database(dialect, session, noTables)
    const made = database as unknown as Added
    made.$client = client
    if (cache !== undefined) made.$cache = cache
    if (hasQueries) {
      made.query = queriesOf(session)
      made._ = { ...config, session }
    }
    return database as Db
  }
}

/**
 * Gives sessions their `db.query`: a builder of relational queries for each table. Drizzle makes all
 * of them in the constructor, which would be most of the cost of a session; here each is made when it
 * is asked for.
 */
function queriesLike(builders: Readonly<Record<string, object>>): (session: object) => object {
  class Queries {
    readonly #session: object

    constructor(session: object) {
      this.#session = session
    }

    static of(queries: Queries): object {
      return queries.#session
    }
  }
  for (const [name, builder] of Object.entries(builders)) {
    const prototype: object = Object.getPrototypeOf(builder)
    const get = function (this: Queries): unknown {
      return Object.assign(Object.create(prototype), builder, { session: Queries.of(this) })
    }
    Object.defineProperty(Queries.prototype, name, { enumerable: true, get })
  }
  return (session) => new Queries(session)
}
