/** One thing that happened. */
export interface NotedEvent {
  /** Grows by one with each. */
  readonly id: number
  /** Of the first time, where it happened several times in a row. */
  readonly firstId: number
  /** Of the last time, ms since 1970. */
  readonly atMs: number
  readonly level: 'info' | 'warn'
  /** Null: of all of pgsplit. */
  readonly cluster: string | null
  readonly event: string
  readonly node: string | null
  readonly text: string
  /** How often it happened in a row. */
  readonly times: number
}

/** The same within so many ms is told once more, not anew. */
const sameWithinMs = 10_000

/** The last events, in bounded memory. */
export class EventHistory {
  readonly #most: number
  readonly #nowMs: () => number
  #events: NotedEvent[] = []
  #nextId = 1

  /** @param nowMs ms since 1970 */
  constructor(most = 1_000, nowMs: () => number = Date.now) {
    this.#most = most
    this.#nowMs = nowMs
  }

  /** The oldest first. */
  get all(): readonly NotedEvent[] {
    return this.#events
  }

  /** Those that were noted after the one with this id. */
  since(id: number): readonly NotedEvent[] {
    const from = this.#events.findIndex((one) => one.id > id)
    return from < 0 ? [] : this.#events.slice(from)
  }

  get lastId(): number {
    return this.#nextId - 1
  }

  /** `text` and `facts` are what the log may say: no secrets, no parameters, no literals. */
  note(
    cluster: string | null,
    level: 'info' | 'warn',
    facts: { readonly event: string; readonly node?: unknown },
    text: string,
  ): void {
    const atMs = this.#nowMs()
    const node = typeof facts.node === 'string' ? facts.node : null
    const id = this.#nextId++
    const fresh = {
      id,
      firstId: id,
      atMs,
      level,
      cluster,
      event: facts.event,
      node,
      text: text.slice(0, 500),
    }
    const same = this.#events.findLastIndex(
      (one) => one.event === fresh.event && one.text === fresh.text && one.cluster === cluster,
    )
    const last = this.#events[same]
    if (last !== undefined && atMs - last.atMs < sameWithinMs) {
      this.#events.splice(same, 1)
      this.#events.push({ ...fresh, firstId: last.firstId, times: last.times + 1 })
      return
    }
    this.#events.push({ ...fresh, times: 1 })
    if (this.#events.length > this.#most) this.#events.shift()
  }
}
