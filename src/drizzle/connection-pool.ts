import type { Claim } from '../pool/claim.ts'
import { NodePool } from '../pool/node-pool.ts'
import type { Pooled } from '../pool/pooled.ts'
import { sqlstateOf } from './direct/server-error.ts'
import { noFree } from './door-error.ts'
import type { DriverPool, DriverPoolOptions, NodeTarget } from './driver-pool.ts'

/** Makes and ends single connections of a driver. */
export interface Connector<Connection> {
  /** Connects and logs in. `onLost` is called once, when it has gone for whatever reason. */
  open(timeoutMs: number, onLost: () => void): Promise<Connection>
  /** Closes in order. */
  end(connection: Connection): void
  /** Breaks it off; what runs on it rejects. */
  destroy(connection: Connection): void
}

/** How often idle and old connections are looked for, ms. */
const pruneEveryMs = 1_000
/** Connections carry no state between their users. */
const anyState = {}

/** Connections to one place, for drivers and doors that must know which connection they get. */
export class ConnectionPool<Connection extends object> implements DriverPool<Connection> {
  readonly #connector: Connector<Connection>
  readonly #pool: NodePool<Kept<Connection>>
  readonly #kept = new Map<Connection, Kept<Connection>>()
  readonly #prune: NodeJS.Timeout
  #ended: PromiseWithResolvers<void> | null = null

  constructor(
    { host, port }: Pick<NodeTarget, 'host' | 'port'>,
    options: DriverPoolOptions,
    connector: Connector<Connection>,
  ) {
    this.#connector = connector
    const { checkoutTimeoutMs } = options
    this.#pool = new NodePool<Kept<Connection>>(
      // What is kept of the nodes' pools is the door's to keep.
      { ...options, sharedDepth: 1, keptShare: 0 },
      {
        open: () => this.#open(checkoutTimeoutMs, options.onLogin),
        timeoutError: ({ waiting }) => noFree(`${host}:${port}`, options, waiting),
        isFull: (error) => sqlstateOf(error) === '53300',
        nowMs: () => performance.now(),
      },
    )
    this.#prune = setInterval(() => this.#pool.prune(), pruneEveryMs)
    this.#prune.unref()
  }

  async #open(timeoutMs: number, onLogin: (() => void) | undefined): Promise<Kept<Connection>> {
    let kept: Kept<Connection> | null = null
    let isLost = false
    const connection = await this.#connector.open(timeoutMs, () => {
      isLost = true
      if (kept !== null) this.#lost(kept)
    })
    onLogin?.()
    kept = new Kept(connection, this.#connector)
    this.#kept.set(connection, kept)
    if (isLost) this.#lost(kept)
    return kept
  }

  #lost(kept: Kept<Connection>): void {
    kept.isClosed = true
    this.#kept.delete(kept.connection)
    this.#pool.remove(kept)
    this.#endIfEmpty()
  }

  /** Connections there are, in use or idle. */
  has(connection: Connection): boolean {
    return this.#kept.has(connection)
  }

  /** Takes this very connection, if it is idle. */
  takeThis(connection: Connection): boolean {
    const kept = this.#kept.get(connection)
    return kept !== undefined && !kept.isClosed && this.#pool.takeThis(kept, anyState)
  }

  checkout(done: (error: unknown, connection: Connection | null) => void): void {
    const free = this.#pool.take('lease', anyState)
    if (free !== null) {
      done(null, free.connection)
      return
    }
    this.#pool.wait({
      mode: 'lease',
      stateKey: anyState,
      claim: 'work',
      onConnection: ({ connection }) => done(null, connection),
      onError: (error) => done(error, null),
    })
  }

  checkin(connection: Connection, isSpoiled: boolean): void {
    const kept = this.#kept.get(connection)
    // It has gone meanwhile, and the pool knows.
    if (kept === undefined || !this.#pool.isLeased(kept)) return
    if (isSpoiled) kept.isClean = false
    this.#pool.release(kept)
  }

  destroy(connection: Connection): void {
    this.#connector.destroy(connection)
  }

  get counts(): DriverPool<Connection>['counts'] {
    const { idle, waiting, connecting } = this.#pool.counts()
    // As pg.Pool counts them: for whom a connection is being opened waits for none of these.
    return { total: this.#pool.open, idle, waiting: Math.max(0, waiting - connecting) }
  }

  /** Those in use are closed when they are given back. */
  end(): Promise<void> {
    if (this.#ended === null) {
      this.#ended = Promise.withResolvers()
      clearInterval(this.#prune)
      this.#pool.close(new Error('the pool is closed'))
      this.#endIfEmpty()
    }
    return this.#ended.promise
  }

  #endIfEmpty(): void {
    if (this.#kept.size === 0) this.#ended?.resolve()
  }
}

class Kept<Connection> implements Pooled {
  readonly depth = 0
  readonly stateKey = anyState
  readonly createdAtMs = performance.now()
  readonly connection: Connection
  readonly #connector: Connector<Connection>
  isClosed = false
  isClean = true
  idleSinceMs = this.createdAtMs
  claim: Claim | null = null

  constructor(connection: Connection, connector: Connector<Connection>) {
    this.connection = connection
    this.#connector = connector
  }

  nearness(): number {
    return 0
  }

  close(): void {
    this.isClosed = true
    this.#connector.end(this.connection)
  }
}
