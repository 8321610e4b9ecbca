import type { NodeSpec } from './node.ts'
import type { OpenProbe, ProbeConnection } from './probe-connection.ts'

export interface PositionConnectionsOptions {
  readonly openProbe: OpenProbe
  /** A connection or a question that takes longer is given up, ms. */
  readonly timeoutMs: number
  /** The connection to this node has ended, by whomever. */
  readonly onLost: (nodeIndex: number) => void
}

interface Entry {
  readonly opening: Promise<ProbeConnection>
  isOpen: boolean
}

/** One connection per node for questions about positions. Every wait is timed out. */
export class PositionConnections {
  readonly #options: PositionConnectionsOptions
  readonly #byNode = new Map<number, Entry>()

  constructor(options: PositionConnectionsOptions) {
    this.#options = options
  }

  isOpen(nodeIndex: number): boolean {
    return this.#byNode.get(nodeIndex)?.isOpen ?? false
  }

  /** Asks for one row; opens the connection when there is none. A failure closes it. */
  async ask(node: NodeSpec, sql: string): Promise<readonly (string | null)[]> {
    const entry = this.#entry(node)
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => reject(new Error('a question about positions timed out')),
      this.#options.timeoutMs,
    )
    try {
      return await Promise.race([this.#query(entry, sql), late])
    } catch (error) {
      if (this.#byNode.get(node.index) === entry) this.drop(node.index)
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  /** Resolves when the connection is there. Rejects when it can't be had. */
  async open(node: NodeSpec): Promise<void> {
    await this.#entry(node).opening
  }

  drop(nodeIndex: number): void {
    const entry = this.#byNode.get(nodeIndex)
    if (entry === undefined) return
    this.#byNode.delete(nodeIndex)
    entry.isOpen = false
    entry.opening.then(
      (connection) => connection.close(),
      () => {},
    )
    this.#options.onLost(nodeIndex)
  }

  close(): void {
    for (const index of [...this.#byNode.keys()]) this.drop(index)
  }

  async #query({ opening }: Entry, sql: string): Promise<readonly (string | null)[]> {
    const connection = await opening
    return await connection.query(sql)
  }

  #entry(node: NodeSpec): Entry {
    const known = this.#byNode.get(node.index)
    if (known !== undefined) return known
    const isCurrent = (): boolean => this.#byNode.get(node.index) === entry
    const entry: Entry = {
      isOpen: false,
      opening: this.#options.openProbe(node, {
        signal: AbortSignal.timeout(this.#options.timeoutMs),
        onLost: () => {
          if (isCurrent()) this.drop(node.index)
        },
      }),
    }
    this.#byNode.set(node.index, entry)
    entry.opening.then(
      () => {
        entry.isOpen = isCurrent()
      },
      () => {
        if (isCurrent()) this.drop(node.index)
      },
    )
    return entry
  }
}
