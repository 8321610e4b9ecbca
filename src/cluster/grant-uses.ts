import { GrantUse } from '../client/grant-use.ts'
import type { Grants } from '../client/grants.ts'

/** What one user takes of what one set of entries gives, as SHOW RULES tells it. */
export interface KnownUse {
  readonly user: string
  readonly database: string
  /** The entries: `users`, `rules[2]`, both, or ''. */
  readonly source: string
  readonly use: GrantUse
}

interface Entry extends KnownUse {
  grants: Grants
}

/** So many are kept of which nobody is connected: what they have counted goes with them. */
const maxUnused = 1_000

/** Who of a cluster's clients takes how much: each user for itself, by the entries that say what it gets. */
export class GrantUses {
  readonly #entries = new Map<string, Entry>()
  readonly #waitMs: () => number

  /** `waitMs`: how long a request may wait for its turn. */
  constructor(waitMs: () => number) {
    this.#waitMs = waitMs
  }

  /** The use of `user`; limits count over all databases, which are told apart only for what is shown. */
  of(user: string, database: string, source: string, grants: Grants): GrantUse {
    const key = `${user}\0${source}`
    const known = this.#entries.get(key)
    if (known !== undefined) {
      // In the order of use, so that the first unused one is the oldest.
      this.#entries.delete(key)
      this.#entries.set(key, { ...known, database: joined(known.database, database), grants })
      return known.use
    }
    const use = new GrantUse(this.#waitMs)
    this.#entries.set(key, { user, database, source, use, grants })
    this.#prune()
    return use
  }

  get all(): readonly (KnownUse & { readonly grants: Grants })[] {
    return [...this.#entries.values()]
  }

  #prune(): void {
    if (this.#entries.size <= maxUnused) return
    for (const [key, { use }] of this.#entries) {
      if (use.clients === 0 && use.running === 0) this.#entries.delete(key)
      if (this.#entries.size <= maxUnused) return
    }
  }
}

function joined(known: string, database: string): string {
  return known === database ? database : '*'
}
