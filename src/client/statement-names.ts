import type { PreparedStatement, StatementRegistry } from './prepared-statement.ts'

/** So many names that were given up are remembered for errors that still name them. */
const maxDroppedNames = 16

/** One session's names for prepared statements, which it shares with others of its scope. */
export class StatementNames {
  readonly #registry: StatementRegistry
  readonly #byName = new Map<string, PreparedStatement>()
  /** Names that the client has given up lately, by the server's. */
  readonly #dropped = new Map<string, string>()

  constructor(registry: StatementRegistry) {
    this.#registry = registry
  }

  get size(): number {
    return this.#byName.size
  }

  get(name: string): PreparedStatement | undefined {
    return this.#byName.get(name)
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  set(name: string, statement: PreparedStatement): void {
    this.#byName.set(name, statement)
  }

  [Symbol.iterator](): IterableIterator<[string, PreparedStatement]> {
    return this.#byName[Symbol.iterator]()
  }

  /** Drops the client's name for a statement; errors about it may still be on their way. */
  forget(name: string, statement: PreparedStatement): void {
    if (this.#byName.get(name) !== statement) return
    this.#byName.delete(name)
    this.#dropped.set(statement.serverName, name)
    if (this.#dropped.size > maxDroppedNames) {
      const [oldest] = this.#dropped.keys()
      if (oldest !== undefined) this.#dropped.delete(oldest)
    }
    this.#registry.release(statement)
  }

  /** The client's name for one of our statements, or null. */
  clientName(serverName: string): string | null {
    for (const [name, statement] of this.#byName) {
      if (statement.serverName === serverName) return name
    }
    return this.#dropped.get(serverName) ?? null
  }

  /** The session ends: nobody uses its statements on its behalf any more. */
  releaseAll(): void {
    for (const statement of this.#byName.values()) this.#registry.release(statement)
    this.#byName.clear()
  }
}
