import type { NodePool } from '../pool/node-pool.ts'
import type { ServerConnection } from '../server/server-connection.ts'

type Pool = NodePool<ServerConnection>

/** A pinned session's connection while a read that needs nothing of it runs elsewhere. */
export interface Parked {
  readonly connection: ServerConnection
  readonly pool: Pool | null
}

/** The server connections that are one session's alone. */
export class HeldConnections {
  #lease: ServerConnection | null = null
  #pool: Pool | null = null
  #parked: Parked | null = null
  #kept: Map<number, ServerConnection> | null = null
  #home: ServerConnection | null = null

  /** The one that it uses now. */
  get lease(): ServerConnection | null {
    return this.#lease
  }

  /** Where that goes back to. */
  get pool(): Pool | null {
    return this.#pool
  }

  get parked(): Parked | null {
    return this.#parked
  }

  /** Of those that are kept the one to the primary, whose server process is the client's own. */
  get home(): ServerConnection | null {
    return this.#home
  }

  take(connection: ServerConnection, pool: Pool): void {
    this.#lease = connection
    this.#pool = pool
  }

  /** `poolMode: session`: the connection is the client's until it leaves. */
  keep(connection: ServerConnection, isPrimary: boolean): void {
    this.#kept ??= new Map()
    this.#kept.set(connection.nodeIndex, connection)
    if (isPrimary) this.#home = connection
  }

  /** The one that is kept to this node; null: none is. */
  keptAt(nodeIndex: number): ServerConnection | null {
    return this.#kept?.get(nodeIndex) ?? null
  }

  isKept(connection: ServerConnection): boolean {
    return this.keptAt(connection.nodeIndex) === connection
  }

  /** The lease isn't used any more; if it is kept it stays so. Returns the pool of it. */
  rest(): Pool | null {
    const pool = this.#pool
    this.#lease = null
    this.#pool = null
    return pool
  }

  /** The lease is not the session's any more. Returns the pool of it. */
  giveUp(connection: ServerConnection): Pool | null {
    this.#kept?.delete(connection.nodeIndex)
    if (this.#home === connection) this.#home = null
    return this.rest()
  }

  /** Those that are kept and not used now are not the session's any more: returns them. */
  giveUpKept(): ServerConnection[] {
    if (this.#kept === null) return []
    const left = [...this.#kept.values()].filter((connection) => connection !== this.#lease)
    for (const connection of left) {
      this.#kept.delete(connection.nodeIndex)
      if (this.#home === connection) this.#home = null
    }
    return left
  }

  /** Leaves the lease for another connection, until `unpark`. */
  park(): void {
    if (this.#lease === null) return
    this.#parked = { connection: this.#lease, pool: this.#pool }
    this.rest()
  }

  /** Goes back to it; null: none is parked. */
  unpark(): ServerConnection | null {
    const parked = this.giveUpParked()
    if (parked === null) return null
    this.#lease = parked.connection
    this.#pool = parked.pool
    return parked.connection
  }

  /** The parked one is not the session's any more. */
  giveUpParked(): Parked | null {
    const parked = this.#parked
    this.#parked = null
    return parked
  }
}
