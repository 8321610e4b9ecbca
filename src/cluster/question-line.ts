import type { NodeConfig } from '../config/config.ts'
import { connectNode } from '../node-client.ts'
import type { SqlSession } from '../server/sql-session.ts'
import type { Cluster } from './cluster.ts'

type Rows = Awaited<ReturnType<SqlSession['query']>>['rows']

/**
 * One connection of the monitor's role for questions about roles and databases: to the primary or,
 * while there is none, to any node that is up. Answers come in the order of the questions.
 */
export class QuestionLine {
  readonly #cluster: Cluster
  #session: Promise<SqlSession> | null = null
  #node: NodeConfig | null = null

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /** Rejects when no node answers, or with the server's error. */
  async ask(sql: string, values?: readonly (string | null)[]): Promise<Rows> {
    const dialled = this.#connect()
    const session = await dialled
    try {
      return (await session.query(sql, values)).rows
    } catch (error) {
      // Lost, or hung: the next question dials again.
      if (session.isClosed) this.#forget(dialled)
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
    if (chosen === undefined || node === null) return Promise.reject(new Error('no node is up'))
    this.#node = node
    const dialled: Promise<SqlSession> = connectNode(node, {
      connectTimeoutMs: this.#cluster.config.pool.connectTimeoutMs,
      statementTimeoutMs: 5_000,
      tls: this.#cluster.tls(chosen.index),
      onLost: () => this.#forget(dialled),
      // Role defaults must not break questions.
      settings: '-c default_transaction_isolation=read\\ committed -c jit=off',
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
