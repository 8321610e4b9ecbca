import { turn } from '../net/turn-share.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { PreparedStatement, StatementRegistry } from './prepared-statement.ts'

/** So many names that were given up are remembered for errors that still name them. */
const maxDroppedNames = 16

/** So many statements are released in one turn of the event loop: a client may have any number. */
const releasedPerTurn = 256

/** Gives back what a session used, in no more time per turn than anybody has. */
class Release {
  readonly #left: Iterator<PreparedStatement>
  readonly #registry: StatementRegistry

  constructor(names: ReadonlyMap<string, PreparedStatement>, registry: StatementRegistry) {
    this.#left = names.values()
    this.#registry = registry
  }

  takeTurn(): void {
    for (let i = 0; i < releasedPerTurn; i++) {
      const next = this.#left.next()
      if (next.done === true) return
      this.#registry.release(next.value)
    }
    turn.enqueue(this)
  }
}

/** One session's names for prepared statements, which it shares with others of its scope. */
export class StatementNames {
  readonly #registry: StatementRegistry
  #byName = new Map<string, PreparedStatement>()
  /** Those of them that are shared with other sessions. */
  #named = new Set<PreparedStatement>()
  /** Names that the client has given up lately, by the server's. */
  readonly #dropped = new Map<string, string>()
  /** On its server connection the session has its statements under its own names. */
  isOwn = false
  /** The one on which it has them already. */
  ownConnection: ServerConnection | null = null

  constructor(registry: StatementRegistry) {
    this.#registry = registry
  }

  get size(): number {
    return this.#byName.size
  }

  /** Has the session any by SQL PREPARE? SQL that a function makes up may name those. */
  get hasPrepared(): boolean {
    for (const { spots } of this.#byName.values()) if (spots !== null) return true
    return false
  }

  get(name: string): PreparedStatement | undefined {
    return this.#byName.get(name)
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** Has this shared statement a name here? */
  names(shared: PreparedStatement): boolean {
    return this.#named.has(shared)
  }

  /** Gives a statement that was counted as used a name; returns what the session has under it. */
  set(name: string, statement: PreparedStatement): PreparedStatement {
    const named = this.isOwn ? statement.under(name) : statement
    this.#byName.set(name, named)
    this.#named.add(statement)
    return named
  }

  [Symbol.iterator](): IterableIterator<[string, PreparedStatement]> {
    return this.#byName[Symbol.iterator]()
  }

  /** Drops the client's name for a statement; errors about it may still be on their way. */
  forget(name: string, statement: PreparedStatement): void {
    if (this.#byName.get(name) !== statement) return
    this.#byName.delete(name)
    this.#named.delete(statement.shared ?? statement)
    this.#dropped.set(statement.serverName, name)
    if (this.#dropped.size > maxDroppedNames) {
      const [oldest] = this.#dropped.keys()
      if (oldest !== undefined) this.#dropped.delete(oldest)
    }
    this.#registry.release(statement)
  }

  /** Takes a `forget` back. */
  restore(name: string, statement: PreparedStatement): void {
    if (this.#byName.has(name)) return
    const shared = statement.shared ?? statement
    shared.users++
    if (this.#registry.find(shared.key) === undefined && !shared.isStale) this.#registry.add(shared)
    this.#byName.set(name, statement)
    this.#named.add(shared)
  }

  /** Puts another statement in the place of one whose result type has changed. */
  replace(old: PreparedStatement, fresh: PreparedStatement): void {
    for (const [name, statement] of this.#byName) {
      if (statement !== old) continue
      this.#byName.set(name, fresh)
      fresh.users++
      this.#named.delete(old)
      this.#named.add(fresh)
      this.#registry.release(old)
    }
  }

  /** From now on under the client's own names: on one server connection, which is the session's. */
  own(): void {
    if (this.isOwn) return
    this.isOwn = true
    this.ownConnection = null
    for (const [name, statement] of this.#byName) this.#byName.set(name, statement.under(name))
  }

  /** Back to statements that are shared. */
  share(): void {
    this.isOwn = false
    this.ownConnection = null
    for (const [name, { shared }] of this.#byName) {
      if (shared !== null) this.#byName.set(name, shared)
    }
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
    new Release(this.#byName, this.#registry).takeTurn()
    this.#byName = new Map()
    this.#named = new Set()
  }
}
