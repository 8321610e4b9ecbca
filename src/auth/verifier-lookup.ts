import { LRUCache } from 'lru-cache'
import { PgSplitError } from '../errors.ts'
import { parseStoredSecret, type StoredSecret } from './stored-secret.ts'

/** One role, as the cluster knows it. */
export interface RoleRecord {
  /** `pg_authid.rolpassword`. */
  readonly password: string | null
  readonly canLogin: boolean
  /** `rolvaliduntil` has passed. */
  readonly isExpired: boolean
}

export interface VerifierLookupOptions {
  /** Asks the cluster; null when it has no such role. */
  readonly query: (user: string) => Promise<RoleRecord | null>
  /** How long an answer, also "no such role", holds. Default 5,000 ms. */
  readonly ttlMs?: number
  /** How long an answer may serve when the cluster can't be asked. Default 300,000 ms. */
  readonly staleMs?: number
  /** Default 5,000 ms. */
  readonly queryTimeoutMs?: number
  /** Roles remembered. Default 10,000. */
  readonly maxEntries?: number
  /** Look-ups under way at a time; beyond, log-ins are refused. Default 256. */
  readonly maxInFlight?: number
  readonly now?: () => number
}

/** A verifier that failed a client is asked for again, but not more often than this. */
const distrustAfterMs = 1_000

interface Entry {
  readonly secret: StoredSecret | null
  readonly atMs: number
  isDistrusted: boolean
}

/**
 * The stored secrets of the cluster's roles, cached.
 *
 * Found and missing roles are kept equally long and refreshed by the same rules: else the time of
 * the first answer would tell which names exist. Simultaneous look-ups of one role share a query.
 */
export class VerifierLookup {
  #options: Required<VerifierLookupOptions>
  #entries: LRUCache<string, Entry>
  #inFlight = new Map<string, Promise<StoredSecret | null>>()

  constructor(options: VerifierLookupOptions) {
    this.#options = {
      ttlMs: 5_000,
      staleMs: 300_000,
      queryTimeoutMs: 5_000,
      maxEntries: 10_000,
      maxInFlight: 256,
      now: () => performance.now(),
      ...options,
    }
    this.#entries = new LRUCache({ max: this.#options.maxEntries })
  }

  /**
   * The role's secret; null when there is no such role, it has none, may not log in or its
   * password has expired. Rejects with 57P03 when the cluster can't be asked and nothing is known.
   */
  find(user: string): Promise<StoredSecret | null> {
    const entry = this.#entries.get(user)
    if (entry !== undefined) {
      const ageMs = this.#options.now() - entry.atMs
      const holdMs = entry.isDistrusted ? distrustAfterMs : this.#options.ttlMs
      if (ageMs < Math.min(holdMs, this.#options.ttlMs)) return Promise.resolve(entry.secret)
    }
    const running = this.#inFlight.get(user)
    if (running !== undefined) return running
    if (this.#inFlight.size >= this.#options.maxInFlight) {
      return Promise.reject(
        new PgSplitError({
          sqlstate: '53300',
          message: `too many role look-ups at a time (${this.#options.maxInFlight})`,
          severity: 'FATAL',
        }),
      )
    }
    const asked = this.#ask(user, entry).finally(() => this.#inFlight.delete(user))
    this.#inFlight.set(user, asked)
    return asked
  }

  /** A client failed with this role's secret: perhaps the password was changed meanwhile. */
  distrust(user: string): void {
    const entry = this.#entries.get(user)
    if (entry !== undefined) entry.isDistrusted = true
  }

  async #ask(user: string, known: Entry | undefined): Promise<StoredSecret | null> {
    const { query, queryTimeoutMs, staleMs, now } = this.#options
    try {
      const record = await within(query(user), queryTimeoutMs)
      const secret = record === null ? null : secretOf(record)
      this.#entries.set(user, { secret, atMs: now(), isDistrusted: false })
      return secret
    } catch (error) {
      if (known !== undefined && now() - known.atMs < staleMs) return known.secret
      throw new PgSplitError(
        {
          sqlstate: '57P03',
          message: 'cannot look up roles: no node of the cluster answered',
          hint: 'Try again; the log of pgsplit has the reason.',
          severity: 'FATAL',
        },
        error,
      )
    }
  }
}

function secretOf(record: RoleRecord): StoredSecret | null {
  if (!record.canLogin || record.isExpired || record.password === null) return null
  return parseStoredSecret(record.password)
}

function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`role look-up took longer than ${timeoutMs} ms`))
    }, timeoutMs)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
