import { authidSql, lookupFunctionSql } from '../auth/role-sql.ts'
import { parseStoredSecret, passwordSecret, type StoredSecret } from '../auth/stored-secret.ts'
import { type RoleRecord, VerifierLookup } from '../auth/verifier-lookup.ts'
import type { Authenticator } from '../client/login.ts'
import type { AuthConfig, NodeConfig } from '../config/config.ts'
import { connectNode } from '../node-client.ts'
import type { SqlSession } from '../server/sql-session.ts'
import type { Cluster } from './cluster.ts'

/**
 * Who may log in at a cluster: the users of the configuration, and, unless the look-up is off, every
 * role of the cluster, by the verifier that the monitor's own credential can read.
 */
export class Roles implements Authenticator {
  readonly #auth: AuthConfig
  readonly #listed = new Map<string, StoredSecret>()
  readonly #lookup: VerifierLookup | null
  readonly #cluster: Cluster
  #client: Promise<SqlSession> | null = null
  #askedNode: NodeConfig | null = null

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#auth = cluster.config.auth
    for (const user of this.#auth.users) {
      const secret =
        user.password !== undefined
          ? passwordSecret(user.password.reveal())
          : user.verifier === undefined
            ? null
            : parseStoredSecret(user.verifier.reveal())
      if (secret !== null) this.#listed.set(user.name, secret)
    }
    this.#lookup =
      this.#auth.lookup.kind === 'off'
        ? null
        : new VerifierLookup({ query: (user) => this.#ask(user) })
  }

  async find(user: string): Promise<StoredSecret | null> {
    const listed = this.#listed.get(user)
    if (listed !== undefined) return listed
    return this.#lookup === null ? null : this.#lookup.find(user)
  }

  distrust(user: string): void {
    this.#lookup?.distrust(user)
  }

  async #ask(user: string): Promise<RoleRecord | null> {
    const { lookup } = this.#auth
    const sql =
      lookup.kind === 'function'
        ? lookupFunctionSql.replace('pgsplit.role_secret', lookup.name)
        : authidSql
    const client = await this.#connect()
    try {
      const [row] = (await client.query(sql, [user])).rows
      if (row === undefined) return null
      const { password = null, can_login, is_expired } = row
      return { password, canLogin: can_login === 't', isExpired: is_expired === 't' }
    } catch (error) {
      this.#drop(client)
      throw error
    }
  }

  /** One connection for all look-ups, on the primary or, failing that, on any node that is up. */
  #connect(): Promise<SqlSession> {
    const former = this.#client
    if (former !== null && !this.#cluster.members.has(this.#askedNode)) {
      // It has left the cluster: what it knows is no longer true.
      this.#client = null
      former.then((client) => client.end()).catch(() => {})
    }
    if (this.#client !== null) return this.#client
    const forget = (): void => {
      if (this.#client === dialled) this.#client = null
    }
    const dialled = this.#dial(forget)
    this.#client = dialled
    dialled.catch(forget)
    return dialled
  }

  async #dial(onLost: () => void): Promise<SqlSession> {
    const { primary, nodes } = this.#cluster.snapshot
    const chosen = primary ?? nodes.find(({ health }) => health === 'up')
    if (chosen === undefined) throw new Error('no node is up')
    const node = this.#cluster.node(chosen.index)
    this.#askedNode = node
    return connectNode(node, {
      connectTimeoutMs: this.#cluster.config.pool.connectTimeoutMs,
      statementTimeoutMs: 5_000,
      tls: this.#cluster.tls(chosen.index),
      onLost,
    })
  }

  #drop(client: SqlSession): void {
    this.#client = null
    client.end()
  }

  async stop(): Promise<void> {
    const client = await this.#client?.catch(() => null)
    this.#client = null
    client?.end()
  }
}
