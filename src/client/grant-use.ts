import { type ErrorFacts, PgSplitError } from '../errors.ts'

/** The place of a session among those that run something at a time. */
export interface Place {
  readonly isTaken: boolean
  /** Gives it back, or waits no longer for it. */
  leave(): void
}

interface Waiter extends Place {
  take(error: ErrorFacts | null): void
}

/** Requests refused by `access: read`, cancelled at `statementTime`, cut off at `rows` or `bytes`. */
export interface GrantCounts {
  readonly refused: number
  readonly timedOut: number
  readonly cut: number
}

/** How much of its grants the clients of one user take, behind one rule. */
export class GrantUse {
  #counts: GrantCounts = { refused: 0, timedOut: 0, cut: 0 }
  readonly #waitMs: () => number
  #clients = 0
  #running = 0
  readonly #waiting = new Set<Waiter>()

  /** `waitMs`: how long a request may wait for its turn. */
  constructor(waitMs: () => number) {
    this.#waitMs = waitMs
  }

  get clients(): number {
    return this.#clients
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#waiting.size
  }

  get counts(): GrantCounts {
    return this.#counts
  }

  count(what: keyof GrantCounts): void {
    this.#counts = { ...this.#counts, [what]: this.#counts[what] + 1 }
  }

  /** One client more; what it returns takes that back. Throws PgSplitError 53300 beyond `limit`. */
  enter(user: string, limit: number | null): () => void {
    if (limit !== null && this.#clients >= limit) {
      throw new PgSplitError({
        sqlstate: '53300',
        message: `too many connections for user "${user}": ${this.#clients} of ${limit} are open`,
        hint: 'The limit is limits.connections of its entry in auth.users or auth.rules of pgsplit.',
        severity: 'FATAL',
      })
    }
    this.#clients++
    let isIn = true
    return () => {
      if (isIn) this.#clients--
      isIn = false
    }
  }

  /** Asks for one of `limit` places; where none is free, `onTurn` is called later, once. */
  ask(limit: number, onTurn: (error: ErrorFacts | null) => void): Place {
    const use = this
    let state: 'waits' | 'taken' | 'gone' = 'waits'
    let timer: NodeJS.Timeout | null = null
    const place: Waiter = {
      get isTaken() {
        return state === 'taken'
      },
      leave() {
        if (timer !== null) clearTimeout(timer)
        use.#waiting.delete(place)
        const wasTaken = state === 'taken'
        state = 'gone'
        if (wasTaken) use.#free()
      },
      take(error) {
        if (timer !== null) clearTimeout(timer)
        use.#waiting.delete(place)
        state = error === null ? 'taken' : 'gone'
        if (error === null) use.#running++
        onTurn(error)
      },
    }
    if (this.#running < limit) {
      state = 'taken'
      this.#running++
      return place
    }
    this.#waiting.add(place)
    const waitMs = this.#waitMs()
    timer = setTimeout(() => {
      place.take({
        sqlstate: '53300',
        message: `no turn for this request within ${waitMs} ms: ${this.#running} clients of its user run something, and more may not (${this.#waiting.size} wait)`,
        hint: 'The limit is limits.concurrency of its entry in auth.users or auth.rules of pgsplit.',
      })
    }, waitMs)
    return place
  }

  #free(): void {
    this.#running--
    const next = this.#waiting.values().next().value
    if (next !== undefined) next.take(null)
  }
}
