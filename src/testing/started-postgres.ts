import { readFile } from 'node:fs/promises'
import type pg from 'pg'
import { loadPg } from '../embedded/load-pg.ts'
import type { NodeStatus } from '../index.ts'
import { parseLagMs } from './lag.ts'
import { PgsplitDoor } from './pgsplit-door.ts'
import type { ReplicatedPostgres, ReplicatedPostgresOptions } from './replicated-postgres.ts'
import type { ServerCluster, ServerNode } from './server-cluster.ts'
import { TestingError } from './testing-error.ts'

const REPLAY_TIMEOUT_MS = 30_000

interface Login {
  readonly database: string
  readonly username: string
  readonly password: string
}

const DEFAULT_LOGIN: Login = { database: 'test', username: 'test', password: 'test' }

/** The servers of a provider, with pgsplit in front of them and by the names that tests use. */
export class StartedPostgres implements ReplicatedPostgres {
  readonly provider: 'containers' | 'embedded'
  readonly database: string
  readonly username: string
  readonly password: string
  readonly #servers: ServerCluster
  #door: PgsplitDoor | undefined
  /** Primaries that others have replaced. */
  #former: ServerNode[] = []
  #stopping: Promise<void> | undefined

  private constructor(
    provider: 'containers' | 'embedded',
    servers: ServerCluster,
    login: Login,
    door: PgsplitDoor | undefined,
  ) {
    this.provider = provider
    this.database = login.database
    this.username = login.username
    this.password = login.password
    this.#servers = servers
    this.#door = door
  }

  /** What is the same for both providers, on servers that run. They are stopped if it fails. */
  static async on(
    provider: 'containers' | 'embedded',
    servers: ServerCluster,
    options: ReplicatedPostgresOptions,
  ): Promise<StartedPostgres> {
    const login = loginOf(options)
    const started = new StartedPostgres(provider, servers, login, undefined)
    try {
      for (const file of options.initFiles ?? []) await started.sql(await readFile(file, 'utf8'))
      const texts = options.initSql ?? []
      for (const text of typeof texts === 'string' ? [texts] : texts) await started.sql(text)
      await started.waitForReplay()
      if (options.lag !== undefined) await started.setLag(options.lag)
      if (options.pgsplit === false) return started
      const { primary, replicas } = servers
      started.#door = await PgsplitDoor.open(primary, replicas, options.pgsplit ?? {}, login)
      await started.#door.sees(primary, 'primary')
      for (const replica of replicas) await started.#door.sees(replica, 'replica')
      return started
    } catch (error) {
      await started.stop()
      throw error
    }
  }

  get uri(): string {
    return this.uriFor({})
  }

  get primaryUri(): string {
    return this.#uriOf(this.#servers.primary)
  }

  get replicaUris(): readonly string[] {
    return this.#servers.replicas.map((node) => this.#uriOf(node))
  }

  get version(): number {
    return this.#servers.version
  }

  uriFor(login: Partial<Login>): string {
    const { username = this.username, password = this.password, database = this.database } = login
    if (this.#door === undefined) {
      throw new TestingError('there is no pgsplit here (pgsplit: false); use primaryUri')
    }
    const { host, port } = this.#door
    return `postgresql://${encodeURIComponent(username)}:${encodeURIComponent(password)}@${host}:${port}/${encodeURIComponent(database)}`
  }

  sql(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]> {
    return runSql(this.primaryUri, text, values)
  }

  async replicaSql(
    n: number,
    text: string,
    values?: readonly unknown[],
  ): Promise<Record<string, unknown>[]> {
    return runSql(this.#uriOf(this.#replica(n)), text, values)
  }

  nodes(): readonly NodeStatus[] {
    return this.#door?.nodes() ?? []
  }

  async stopReplica(n: number): Promise<void> {
    await this.#replica(n).stop()
  }

  async killReplica(n: number): Promise<void> {
    await this.#replica(n).kill()
  }

  async startReplica(n: number): Promise<void> {
    const replica = this.#replica(n)
    await replica.start()
    await this.#door?.sees(replica, 'replica')
  }

  async restartReplica(n: number): Promise<void> {
    await this.stopReplica(n)
    await this.startReplica(n)
  }

  async freezeReplica(n: number): Promise<void> {
    await this.#replica(n).freeze()
  }

  async thawReplica(n: number): Promise<void> {
    const replica = this.#replica(n)
    await replica.thaw()
    await this.#door?.sees(replica, 'replica')
  }

  async setLag(lag: number | string, n?: number): Promise<void> {
    const settings = { recovery_min_apply_delay: `${parseLagMs(lag)}ms` }
    await Promise.all(this.#chosen(n).map((replica) => replica.configure(settings)))
  }

  async pauseReplay(n?: number): Promise<void> {
    await Promise.all(this.#chosen(n).map((replica) => replica.pauseReplay()))
  }

  async resumeReplay(n?: number): Promise<void> {
    await Promise.all(this.#chosen(n).map((replica) => replica.resumeReplay()))
  }

  waitForReplay(timeoutMs = REPLAY_TIMEOUT_MS): Promise<void> {
    return this.#servers.catchUp(timeoutMs)
  }

  async stopPrimary(): Promise<void> {
    await this.#servers.primary.stop()
  }

  async killPrimary(): Promise<void> {
    await this.#servers.primary.kill()
  }

  async startPrimary(): Promise<void> {
    const { primary } = this.#servers
    await primary.start()
    await this.#door?.sees(primary, 'primary')
  }

  async restartPrimary(): Promise<void> {
    await this.stopPrimary()
    await this.startPrimary()
  }

  async promote(n: number): Promise<void> {
    const chosen = this.#replica(n)
    const { primary } = this.#servers
    // in order: it sends the rest of its WAL to the replicas before it ends
    await primary.stop()
    await this.#servers.failover(chosen)
    this.#former.push(primary)
    await this.#door?.sees(chosen, 'primary')
  }

  async rejoin(): Promise<void> {
    if (this.#former.length === 0) {
      throw new TestingError('there is no former primary; promote a replica first')
    }
    for (const node of this.#former.splice(0)) {
      await this.#servers.rejoin(node)
      await this.#door?.sees(node, 'replica')
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      await this.#door?.close()
      await this.#servers.stop()
    })()
    return this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #uriOf(node: ServerNode): string {
    return node.urlFor(this.database, this.username, this.password)
  }

  #replica(n: number): ServerNode {
    const { replicas } = this.#servers
    const found = replicas[n]
    if (found !== undefined) return found
    const there =
      replicas.length === 0 ? 'there are none' : `they are numbered 0 to ${replicas.length - 1}`
    throw new TestingError(`there is no replica ${n}; ${there}, as in replicaUris`)
  }

  #chosen(n: number | undefined): readonly ServerNode[] {
    return n === undefined ? this.#servers.replicas : [this.#replica(n)]
  }
}

/** The login of the options, checked. Throws TestingError. */
export function loginOf(options: Partial<Login>): Login {
  const login = { ...DEFAULT_LOGIN, ...defined(options) }
  for (const [name, value] of Object.entries(login)) {
    if (value === '') throw new TestingError(`${name} is empty; give one or leave it out`)
  }
  return login
}

function defined({ database, username, password }: Partial<Login>): Partial<Login> {
  return {
    ...(database === undefined ? {} : { database }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  }
}

async function runSql(
  url: string,
  text: string,
  values?: readonly unknown[],
): Promise<Record<string, unknown>[]> {
  const { Client } = await loadPg()
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    const result: pg.QueryResult | pg.QueryResult[] = await client.query(
      text,
      values === undefined ? undefined : [...values],
    )
    return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? []
  } finally {
    await client.end().catch(() => {})
  }
}
