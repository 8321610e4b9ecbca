import type { NodeStatus } from '../index.ts'

/** What both providers are told; everything has a default. */
export interface ReplicatedPostgresOptions {
  /** How many streaming replicas. Default 1, at most 15. */
  readonly replicas?: number
  /**
   * How much later than the primary every replica makes a commit visible
   * (`recovery_min_apply_delay`): milliseconds, or a text like `'200ms'`. Default 0.
   */
  readonly lag?: number | string
  /** The database, made if need be. Default `test`. */
  readonly database?: string
  /** A superuser, and the user of all connection strings. Default `test`. */
  readonly username?: string
  /** Default `test`. */
  readonly password?: string
  /** Settings of `postgresql.conf` for all servers. */
  readonly settings?: Readonly<Record<string, string>>
  /** SQL that the primary runs in the database before `start` resolves. */
  readonly initSql?: string | readonly string[]
  /** Files with such SQL, run before `initSql`, one after the other. */
  readonly initFiles?: readonly (string | URL)[]
  /**
   * What a cluster in pgsplit's configuration may contain, like
   * `{ routing: { maxLag: '1s' } }`; over defaults that suit tests: frequent probes, and a replica
   * that comes back gets its full share at once. `false`: no pgsplit.
   */
  readonly pgsplit?: Readonly<Record<string, unknown>> | false
}

/**
 * A primary, its replicas and pgsplit in front of them, for one test. Where a replica is meant by
 * number, that is its place in `replicaUris`, from 0. Methods reject with an error that says why.
 */
export interface ReplicatedPostgres extends AsyncDisposable {
  readonly provider: 'containers' | 'embedded'
  /** Connection string of pgsplit: what the application under test is to use. */
  readonly uri: string
  /** Connection string of the present primary. */
  readonly primaryUri: string
  /** Connection strings of the present replicas, running or not; they keep theirs over a restart. */
  readonly replicaUris: readonly string[]
  readonly database: string
  readonly username: string
  readonly password: string
  /** Major version of the servers. */
  readonly version: number
  /** The connection string of `uri` for another database or user. */
  uriFor(login: {
    readonly database?: string
    readonly username?: string
    readonly password?: string
  }): string
  /** Runs a text of one or more statements on the primary; resolves to the rows of the last one. */
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>
  /** The same on a replica. */
  replicaSql(
    n: number,
    text: string,
    values?: readonly unknown[],
  ): Promise<Record<string, unknown>[]>
  /** What pgsplit knows of each server, and how many requests and reads it has answered. */
  nodes(): readonly NodeStatus[]

  /** Stops a replica in order. */
  stopReplica(n: number): Promise<void>
  /** Ends a replica as a power cut would. */
  killReplica(n: number): Promise<void>
  /** Starts a stopped or killed replica, and resolves when pgsplit reads from it again. */
  startReplica(n: number): Promise<void>
  restartReplica(n: number): Promise<void>
  /** Halts a replica: it keeps its connections but answers nothing. */
  freezeReplica(n: number): Promise<void>
  /** Lets a frozen replica go on, and resolves when pgsplit reads from it again. */
  thawReplica(n: number): Promise<void>
  /** Another lag for one replica, or for all. */
  setLag(lag: number | string, n?: number): Promise<void>
  /** Lets a replica, or all, show no newer data (it is still received). */
  pauseReplay(n?: number): Promise<void>
  resumeReplay(n?: number): Promise<void>
  /** Resolves when every running replica shows what the primary has committed until now. */
  waitForReplay(timeoutMs?: number): Promise<void>

  /** Stops the primary in order. */
  stopPrimary(): Promise<void>
  /** Ends the primary as a power cut would. */
  killPrimary(): Promise<void>
  /** Starts a stopped or killed primary again, and resolves when pgsplit writes to it. */
  startPrimary(): Promise<void>
  restartPrimary(): Promise<void>
  /**
   * Makes a replica the primary and lets the others follow it; resolves when pgsplit writes to it.
   * A primary that still runs is stopped in order first. It leaves `replicaUris` to the others,
   * which move up.
   */
  promote(n: number): Promise<void>
  /** Makes the former primary a replica, with a new copy of the data: the last of `replicaUris`. */
  rejoin(): Promise<void>

  /** Ends pgsplit and all servers and removes their data. May be called more than once. */
  stop(): Promise<void>
}
