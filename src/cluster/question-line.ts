import { type LookupPlace, NoNodeUp } from '../auth/lookup-failure.ts'
import type { NodeConfig } from '../config/config.ts'
import { PgSplitError } from '../errors.ts'
import { connectNode } from '../node-client.ts'
import type { SqlSession } from '../server/sql-session.ts'
import type { Cluster } from './cluster.ts'

/**
 * Role defaults must not break questions. Plans are made once, for few names among many: by index,
 * however small the tables were then.
 */
const settings = [
  'default_transaction_isolation=read\\ committed',
  'jit=off',
  'standard_conforming_strings=on',
  'plan_cache_mode=force_generic_plan',
  'enable_hashjoin=off',
  'enable_mergejoin=off',
  'enable_seqscan=off',
]
  .map((setting) => `-c ${setting}`)
  .join(' ')

type Rows = Awaited<ReturnType<SqlSession['query']>>['rows']

/**
 * One connection of the monitor's role for questions about roles and databases: to the primary or,
 * while there is none, to any node that is up. Answers come in the order of the questions.
 */
export class QuestionLine {
  readonly #cluster: Cluster
  #session: Promise<SqlSession> | null = null
  #node: NodeConfig | null = null
  #nextName = 1
  /** Names of what a session has prepared, by text. */
  readonly #prepared = new WeakMap<SqlSession, Map<string, Promise<string>>>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /** Whom the last question was put to. */
  get place(): LookupPlace {
    const node = this.#node
    const { nodes, discovery } = this.#cluster.config
    const login = node?.login ?? nodes[0]?.login ?? discovery?.login
    return {
      node: node === null ? null : `node ${node.name} (${node.host}:${node.port})`,
      user: login?.user ?? '',
      database: login?.database ?? '',
    }
  }

  /** Rejects when no node answers, or with the server's error. */
  ask(sql: string): Promise<Rows> {
    return this.#with(async (session) => (await session.query(sql)).rows)
  }

  /**
   * The same for what is asked often: planned once, as planning takes most of the time. `$1`, `$2` …
   * are of these types.
   */
  askAgain(
    sql: string,
    types: readonly string[] = [],
    values: readonly string[] = [],
  ): Promise<Rows> {
    return this.#with(async (session) => {
      const known = this.#prepared.get(session) ?? new Map<string, Promise<string>>()
      this.#prepared.set(session, known)
      const prepared = known.get(sql) ?? prepare(session, `pgsplit_${this.#nextName++}`, sql, types)
      known.set(sql, prepared)
      const name = await prepared.catch((error: unknown) => {
        known.delete(sql)
        throw error
      })
      const given = values.length === 0 ? '' : ` (${values.map(literal).join(', ')})`
      return (await session.query(`EXECUTE ${name}${given}`)).rows
    })
  }

  async #with(use: (session: SqlSession) => Promise<Rows>): Promise<Rows> {
    const dialled = this.#connect()
    const session = await dialled
    try {
      return await use(session)
    } catch (error) {
      // Lost, or hung, or its plans fit no more: the next question dials again.
      if (session.isClosed) this.#forget(dialled)
      else if (isOutdatedPlan(error)) this.leave()
      throw error
    }
  }

  #connect(): Promise<SqlSession> {
    const { primary, nodes } = this.#cluster.snapshot
    const chosen = primary ?? nodes.find(({ health }) => health === 'up')
    const node = chosen === undefined ? null : this.#cluster.node(chosen.index)
    const former = this.#session
    if (former !== null && node !== null && node !== this.#node) {
      // Another primary, or a node that has left: what it knows is no longer true.
      this.#session = null
      former.then((session) => session.end()).catch(() => {})
    }
    if (this.#session !== null) return this.#session
    if (chosen === undefined || node === null) {
      this.#node = null
      return Promise.reject(new NoNodeUp())
    }
    this.#node = node
    const dialled: Promise<SqlSession> = connectNode(node, {
      connectTimeoutMs: this.#cluster.config.pool.connectTimeoutMs,
      statementTimeoutMs: 5_000,
      tls: this.#cluster.tls(chosen.index),
      onLost: () => this.#forget(dialled),
      settings,
    })
    this.#session = dialled
    dialled.catch(() => this.#forget(dialled))
    return dialled
  }

  #forget(dialled: Promise<SqlSession>): void {
    if (this.#session === dialled) this.#session = null
  }

  /** Closes the connection; another question opens another one. */
  leave(): void {
    const former = this.#session
    this.#session = null
    former?.then((session) => session.end()).catch(() => {})
  }
}

async function prepare(
  session: SqlSession,
  name: string,
  sql: string,
  types: readonly string[],
): Promise<string> {
  await session.query(`PREPARE ${name}${types.length === 0 ? '' : ` (${types})`} AS ${sql}`)
  return name
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** "cached plan must not change result type": somebody has made the look-up function anew. */
function isOutdatedPlan(error: unknown): boolean {
  return error instanceof PgSplitError && error.sqlstate === '0A000'
}
