/**
 * A primary with its replicas as each provider starts them; `EmbeddedCluster` and
 * `ContainerCluster` fit.
 */
export interface ServerCluster {
  /** Password of the superuser. */
  readonly password: string
  readonly database: string
  /** Major version of the servers. */
  readonly version: number
  /** The primary; after `failover` the promoted node. */
  readonly primary: ServerNode
  readonly replicas: readonly ServerNode[]
  /** The primary and the replicas. */
  readonly nodes: readonly ServerNode[]
  /** The node with that name or port. */
  node(nameOrPort: string | number): ServerNode
  /** Resolves when every running replica has replayed what the primary has written until now. */
  catchUp(timeoutMs?: number): Promise<void>
  /** Adds a replica while the cluster is running. */
  addReplica(name?: string): Promise<ServerNode>
  /** Promotes `to`; the other running replicas follow it, the old primary leaves `nodes`. */
  failover(to: ServerNode): Promise<void>
  /** Makes `node` a replica of the present primary, with a new copy of its data. */
  rejoin(node: ServerNode): Promise<void>
  /** Ends all servers and removes their data. May be called more than once. */
  stop(): Promise<void>
}

/** One server of it. Its port stays the same over every restart, and is the server's own, too. */
export interface ServerNode {
  readonly name: string
  readonly host: string
  readonly port: number
  /** Connection string for the superuser and the cluster's database, password included. */
  readonly url: string
  readonly isRunning: boolean
  /** Connection string for another database or user. */
  urlFor(database: string, user?: string, password?: string): string
  /** Resolves when the server accepts connections. */
  start(): Promise<void>
  /** Stops in order; `immediate` is a crash ("pg_ctl"). */
  stop(mode?: 'smart' | 'fast' | 'immediate'): Promise<void>
  restart(mode?: 'smart' | 'fast' | 'immediate'): Promise<void>
  /** Ends all processes of the server at once, like the loss of the machine. */
  kill(): Promise<void>
  /** Halts all processes of the server: it holds its connections but answers nothing. */
  freeze(): void | Promise<void>
  thaw(): void | Promise<void>
  promote(): Promise<void>
  /** Stops the replay of WAL (it is still received) and resolves when it stands. */
  pauseReplay(): Promise<void>
  resumeReplay(): Promise<void>
  /** Cuts a replica off from its primary; it goes on serving what it has. */
  detach(): Promise<void>
  /** Lets a replica stream from `primary`. */
  follow(primary: ServerNode): Promise<void>
  createSlot(name: string): Promise<void>
  /** Changes settings of the server; those that need it take effect at the next start. */
  configure(settings: Readonly<Record<string, string>>): Promise<void>
  /** The last lines of the server's log. */
  logTail(lines?: number): Promise<string>
  /** Runs one statement as superuser. */
  query(
    text: string,
    values?: readonly unknown[],
    database?: string,
  ): Promise<Record<string, unknown>[]>
}
