import { LRUCache } from 'lru-cache'
import { PgSplitError } from '../errors.ts'
import type { Identity, Wanted } from './identity.ts'
import { type LookupPlace, LookupTimeout, lookupFailure } from './lookup-failure.ts'

export interface IdentityLookupOptions {
  /** Asks the cluster, for all of them at once; answers in the same order. */
  readonly query: (wanted: readonly Wanted[]) => Promise<readonly Identity[]>
  /** Whom it has asked last, for the log. */
  readonly place: () => LookupPlace
  /** Shortest time between two questions, ms. Default 5. */
  readonly gapMs?: number
  /** How long an answer may serve when the cluster can't be asked. Default 300,000 ms. */
  readonly staleMs?: number
  /** Default 5,000 ms. */
  readonly queryTimeoutMs?: number
  /** Pairs remembered for that. Default 10,000. */
  readonly maxEntries?: number
  /** Pairs that wait for an answer; beyond, log-ins are refused. Default 2,000. */
  readonly maxWaiting?: number
  /** Changes when roles or databases have: older answers serve no more. */
  readonly version?: () => number
  readonly now?: () => number
}

/** Pairs in one question. */
const maxAsked = 200

interface Entry {
  readonly identity: Identity
  readonly atMs: number
  readonly version: number
}

interface Waiting {
  readonly wanted: Wanted
  readonly answer: PromiseWithResolvers<Identity>
}

/**
 * Who roles and databases are, asked anew for every log-in: what was changed before a client came
 * counts for it, whoever changed it. One question at a time is under way, and carries all who came
 * before it left: a flood of log-ins, or of guesses, costs the cluster no more than that.
 *
 * Roles that exist and those that don't take the same way: else the time of the answer would tell.
 */
export class IdentityLookup {
  readonly #options: Required<IdentityLookupOptions>
  readonly #entries: LRUCache<string, Entry>
  /** Who waits for the next question, by pair. */
  #waiting = new Map<string, Waiting>()
  #isAsking = false
  #askedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: IdentityLookupOptions) {
    this.#options = {
      gapMs: 5,
      staleMs: 300_000,
      queryTimeoutMs: 5_000,
      maxEntries: 10_000,
      maxWaiting: 2_000,
      version: () => 0,
      now: () => performance.now(),
      ...options,
    }
    this.#entries = new LRUCache({ max: this.#options.maxEntries })
  }

  /** Rejects with 57P03 when the cluster can't be asked and nothing is known that may still serve. */
  find(wanted: Wanted): Promise<Identity> {
    const key = keyOf(wanted)
    const waiting = this.#waiting.get(key)
    if (waiting !== undefined) return waiting.answer.promise
    const { maxWaiting } = this.#options
    if (this.#waiting.size >= maxWaiting) {
      return Promise.reject(
        new PgSplitError({
          sqlstate: '53300',
          message: `too many role look-ups at a time (${maxWaiting})`,
          severity: 'FATAL',
        }),
      )
    }
    const answer = Promise.withResolvers<Identity>()
    this.#waiting.set(key, { wanted, answer })
    if (!this.#isAsking) void this.#askAll()
    return answer.promise
  }

  async #askAll(): Promise<void> {
    const { gapMs, now } = this.#options
    this.#isAsking = true
    // Who comes in the same turn comes along.
    await null
    while (this.#waiting.size > 0) {
      const pauseMs = this.#askedAtMs + gapMs - now()
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
      const asked = [...this.#waiting.values()].slice(0, maxAsked)
      for (const { wanted } of asked) this.#waiting.delete(keyOf(wanted))
      this.#askedAtMs = now()
      await this.#ask(asked)
    }
    this.#isAsking = false
  }

  /** Never rejects. */
  async #ask(asked: readonly Waiting[]): Promise<void> {
    const { query, queryTimeoutMs, now, version } = this.#options
    const known = version()
    try {
      const pairs = asked.map(({ wanted }) => wanted)
      const identities = await within(query(pairs), queryTimeoutMs)
      for (const [i, { wanted, answer }] of asked.entries()) {
        const identity = identities[i]
        if (identity === undefined) throw new Error('the answer has too few rows')
        this.#entries.set(keyOf(wanted), { identity, atMs: now(), version: known })
        answer.resolve(identity)
      }
    } catch (error) {
      // Maybe a function for look-ups fails for one of them.
      const isOfOne = error instanceof PgSplitError && !/^(08|53|57)/.test(error.sqlstate)
      if (asked.length > 1 && isOfOne) {
        for (const one of asked) await this.#ask([one])
      } else for (const one of asked) this.#fail(one, error)
    }
  }

  #fail({ wanted, answer }: Waiting, error: unknown): void {
    const { staleMs, now, version } = this.#options
    const entry = this.#entries.get(keyOf(wanted))
    if (entry !== undefined && entry.version === version() && now() - entry.atMs < staleMs) {
      answer.resolve(entry.identity)
      return
    }
    answer.reject(lookupFailure(error, this.#options.place()))
  }
}

function keyOf({ role, database }: Wanted): string {
  return `${role}\0${database}`
}

function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new LookupTimeout(timeoutMs))
    }, timeoutMs)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
