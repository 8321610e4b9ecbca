import type { NotedEvent } from '../src/history/event-history.ts'
import type { Tick } from '../src/history/recorder.ts'
import type { HttpRole } from '../src/http/http-source.ts'
import { type Api, ApiError } from './api.ts'
import { eventsOf } from './event-stream.ts'
import { Series } from './series.ts'

type ProxyState = 'active' | 'paused' | 'draining'

interface Hello {
  readonly who: string
  readonly role: HttpRole
  readonly version: string
  readonly state: ProxyState
  readonly now: Tick | null
}

export type Connection =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'signed-out'; readonly why: string | null }
  | { readonly kind: 'lost'; readonly why: string }

const mostEvents = 1_000
const soonSeconds = 300
const hourSeconds = 3_600
const firstRetryMs = 500
const longestRetryMs = 8_000
/** No tick for so long: the way is broken, though nobody has said so. */
const silenceMs = 10_000

/** What pgsplit tells, second by second; asks again and again when it stops telling. */
export class Live {
  readonly api: Api
  readonly series = new Series()
  readonly #listeners = new Set<() => void>()
  #connection: Connection = { kind: 'connecting' }
  #hello: Hello | null = null
  #state: ProxyState = 'active'
  #clusters: Tick['clusters'] = []
  #events: readonly NotedEvent[] = []
  #abort = new AbortController()

  constructor(api: Api) {
    this.api = api
  }

  get connection(): Connection {
    return this.#connection
  }

  get hello(): Hello | null {
    return this.#hello
  }

  get state(): ProxyState {
    return this.#state
  }

  get clusters(): Tick['clusters'] {
    return this.#clusters
  }

  /** The oldest first. */
  get events(): readonly NotedEvent[] {
    return this.#events
  }

  /** Gives what ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Begins, or begins anew as somebody else. */
  start(): void {
    this.#abort.abort()
    this.#abort = new AbortController()
    void this.#run(this.#abort.signal)
  }

  signOut(): void {
    this.#abort.abort()
    this.api.signOut()
    this.#become({ kind: 'signed-out', why: null })
  }

  async #run(signal: AbortSignal): Promise<void> {
    let retryMs = firstRetryMs
    this.#become({ kind: 'connecting' })
    while (!signal.aborted) {
      try {
        await this.#follow(signal, () => {
          retryMs = firstRetryMs
        })
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof ApiError && error.status === 401) {
          const wasSignedIn = this.api.isSignedIn
          this.api.signOut()
          this.#become({ kind: 'signed-out', why: wasSignedIn ? error.message : null })
          return
        }
        const why = error instanceof ApiError ? error.message : 'pgsplit does not answer'
        this.#become({ kind: 'lost', why })
      }
      await new Promise((resolve) => setTimeout(resolve, retryMs))
      retryMs = Math.min(2 * retryMs, longestRetryMs)
    }
  }

  /** Resolves when the stream has ended in order. */
  async #follow(signal: AbortSignal, onHello: () => void): Promise<void> {
    const own = new AbortController()
    const both = AbortSignal.any([signal, own.signal])
    let silence = setTimeout(() => own.abort(), silenceMs)
    try {
      const answer = await this.api.get('api/v1/live', both)
      // What there was before comes by ways of its own: first the minutes that are shown at once, then the
      // hour. Each takes the place of all that is there, so seconds that have come since are told again.
      let since: Tick[] | null = []
      const take = (tick: Tick): void => {
        if (tick.columns !== undefined) this.series.order(tick.columns)
        this.series.add(tick.atMs, tick.numbers)
      }
      const load = async (seconds: number): Promise<void> => {
        await this.#loadHistory(seconds, both)
        for (const tick of since ?? []) take(tick)
        this.#become({ kind: 'live' })
      }
      for await (const { event, data } of eventsOf(answer)) {
        clearTimeout(silence)
        silence = setTimeout(() => own.abort(), silenceMs)
        if (event === 'hello') {
          const hello = JSON.parse(data) as Hello
          this.#hello = hello
          this.#note(hello.state, hello.now, true)
          onHello()
          if (hello.now !== null) since?.push(hello.now)
          void load(soonSeconds)
            .then(() => load(hourSeconds))
            .then(() => {
              since = null
            })
        } else if (event === 'tick') {
          const tick = JSON.parse(data) as Tick & { readonly state: ProxyState }
          since?.push(tick)
          take(tick)
          this.#note(tick.state, tick, false)
        }
        this.#tell()
      }
    } finally {
      clearTimeout(silence)
    }
  }

  async #loadHistory(seconds: number, signal: AbortSignal): Promise<void> {
    try {
      const answer = await this.api.get(`api/v1/history?seconds=${seconds}`, signal)
      this.series.load(await answer.arrayBuffer())
    } catch {
      // The seconds to come are plotted without it.
    }
  }

  #note(state: ProxyState, now: Tick | null, isAll: boolean): void {
    this.#state = state
    if (now === null) return
    this.#clusters = now.clusters
    if (now.events.length === 0 && !isAll) return
    // One that happened again comes with its new time and count.
    const told = new Set(now.events.map(({ firstId }) => firstId))
    const before = isAll ? [] : this.#events.filter(({ firstId }) => !told.has(firstId))
    this.#events = [...before, ...now.events].slice(-mostEvents)
  }

  #become(connection: Connection): void {
    this.#connection = connection
    this.#tell()
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
