import { ContainerCluster } from './container-cluster.ts'
import { parseLagMs } from './lag.ts'
import { replicaCount } from './replica-count.ts'
import type { ReplicatedPostgres, ReplicatedPostgresOptions } from './replicated-postgres.ts'
import { loginOf, StartedPostgres } from './started-postgres.ts'

const START_TIMEOUT_MS = 60_000

/**
 * A primary and its replicas in containers, and pgsplit in this process in front of them. Needs the
 * package `testcontainers` and a container engine. `start` may be called more than once.
 */
export class ReplicatedPostgresContainer {
  readonly #image: string
  #options: ReplicatedPostgresOptions = {}
  #hasSlots = true
  #startTimeoutMs = START_TIMEOUT_MS

  /** An image with the contract of the official one, from PostgreSQL 13 on. */
  constructor(image = 'postgres:17') {
    this.#image = image
  }

  /** How many streaming replicas. Default 1, at most 15. */
  withReplicas(replicas: number): this {
    return this.#with({ replicas: replicaCount(replicas) })
  }

  /** How much later than the primary the replicas show a commit: ms, or a text like `'200ms'`. */
  withLag(lag: number | string): this {
    return this.#with({ lag: parseLagMs(lag) })
  }

  withDatabase(database: string): this {
    return this.#with({ database })
  }

  /** The superuser, who is the user of all connection strings. */
  withUsername(username: string): this {
    return this.#with({ username })
  }

  withPassword(password: string): this {
    return this.#with({ password })
  }

  /** Settings of `postgresql.conf` for all servers, beside those given before. */
  withSettings(settings: Readonly<Record<string, string>>): this {
    return this.#with({ settings: { ...this.#options.settings, ...settings } })
  }

  /** SQL that the primary runs in the database before `start` resolves, behind that given before. */
  withInitSql(...texts: readonly string[]): this {
    const { initSql = [] } = this.#options
    return this.#with({ initSql: [initSql, texts].flat() })
  }

  /** Files with such SQL; they are run before the texts. */
  withInitFiles(...files: readonly (string | URL)[]): this {
    return this.#with({ initFiles: [...(this.#options.initFiles ?? []), ...files] })
  }

  /** What a cluster in pgsplit's configuration may contain; `false`: no pgsplit. */
  withPgsplit(pgsplit: Readonly<Record<string, unknown>> | false): this {
    return this.#with({ pgsplit })
  }

  /** Replicas stream without slots; the primary then keeps 512 MB of WAL for them. */
  withoutReplicationSlots(): this {
    this.#hasSlots = false
    return this
  }

  /** How long each server may take until it accepts connections. Default 60 s. */
  withStartupTimeout(timeoutMs: number): this {
    this.#startTimeoutMs = timeoutMs
    return this
  }

  /** Starts everything, or rejects with the reason and leaves nothing behind. */
  async start(): Promise<ReplicatedPostgres> {
    const cluster = await ContainerCluster.start({
      ...loginOf(this.#options),
      image: this.#image,
      replicas: replicaCount(this.#options.replicas),
      settings: this.#options.settings ?? {},
      hasSlots: this.#hasSlots,
      startTimeoutMs: this.#startTimeoutMs,
    })
    return StartedPostgres.on('containers', cluster, this.#options)
  }

  #with(options: ReplicatedPostgresOptions): this {
    this.#options = { ...this.#options, ...options }
    return this
  }
}
