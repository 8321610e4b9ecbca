import type { Identity } from '../auth/identity.ts'

/** How long a replica that was found behind is not dialled again, ms. */
const restMs = 100

/**
 * Who the connections of a scope are: the role and the database by OID, which never stand for
 * others, and what they are called and made of at present.
 */
export class ScopeIdentity {
  readonly role: number
  readonly database: number
  #roleName: string
  #digest: string
  /** Replicas that have not replayed what the primary says → until when they are left alone, ms. */
  readonly #behind = new Map<number, number>()

  constructor(role: number, database: number, roleName: string, digest: string) {
    this.role = role
    this.database = database
    this.#roleName = roleName
    this.#digest = digest
  }

  /** What the log-in has found; null without role or database. */
  static of({ role, database, digest }: Identity, roleName: string): ScopeIdentity | null {
    if (role === null || database === null) return null
    return new ScopeIdentity(role.oid, database.oid, roleName, digest)
  }

  /** The name to log in with at the servers. */
  get roleName(): string {
    return this.#roleName
  }

  /** See `Identity.digest`. */
  get digest(): string {
    return this.#digest
  }

  /** A connection to this replica has turned out to be of another role, database or time. */
  foundBehind(nodeIndex: number, nowMs: number): void {
    this.#behind.set(nodeIndex, nowMs + restMs)
  }

  isBehind(nodeIndex: number, nowMs: number): boolean {
    const until = this.#behind.get(nodeIndex)
    if (until === undefined) return false
    if (nowMs < until) return true
    this.#behind.delete(nodeIndex)
    return false
  }

  /** The primary says so now. True: connections opened before are made of something else. */
  note(roleName: string, digest: string): boolean {
    this.#roleName = roleName
    if (this.#digest === digest) return false
    this.#digest = digest
    return true
  }
}
