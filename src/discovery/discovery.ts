import { type Clock, systemClock } from '../topology/clock.ts'
import type { MemberList, MemberSource } from './member.ts'

/** What the owner should log. `detail` is a clause for people, without secrets. */
export interface DiscoveryEvent {
  readonly kind:
    | 'discovery-failed'
    | 'discovery-recovered'
    | 'discovery-paused'
    | 'discovery-resumed'
  readonly reason: string
  readonly detail: string
}

export interface DiscoveryOptions {
  readonly source: MemberSource
  /** Longest time between two looks, ms. */
  readonly intervalMs: number
  readonly onList: (list: MemberList) => void
  readonly onEvent: (event: DiscoveryEvent) => void
  /** There is no primary: its successor may be one that nobody has heard of yet. */
  readonly isUrgent?: () => boolean
  readonly clock?: Clock
}

/** Least time between two looks, ms, unless `intervalMs` is less. */
const leastMs = 1000

/** Looks at a source again and again. What fails is told once, and the last list stays in force. */
export class Discovery {
  readonly #options: DiscoveryOptions
  readonly #clock: Clock
  #running: Promise<void> | null = null
  #cancel: (() => void) | null = null
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #complaint: string | null = null
  #isPaused = false
  #isHurried = false
  #isStopped = false

  constructor(options: DiscoveryOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** Resolves after the first look, whatever came of it. */
  async start(): Promise<void> {
    await this.#look()
  }

  /** Something has happened: the next look is taken soon. */
  hurry(): void {
    if (this.#isStopped) return
    if (this.#running !== null) {
      this.#isHurried = true
      return
    }
    const dueMs = this.#lookedAtMs + Math.min(leastMs, this.#options.intervalMs) / 2
    this.#arm(Math.max(0, dueMs - this.#clock.nowMs()))
  }

  /** No callback follows. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancel?.()
    this.#options.source.close()
    await this.#running
  }

  #look(): Promise<void> {
    if (this.#isStopped) return Promise.resolve()
    this.#cancel?.()
    this.#cancel = null
    this.#running ??= this.#lookOnce().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #lookOnce(): Promise<void> {
    const { source, intervalMs, onList, isUrgent } = this.#options
    this.#isHurried = false
    let validMs: number | null = null
    try {
      const list = await source.read()
      if (this.#isStopped) return
      validMs = list.validMs
      this.#complain(list.complaint)
      this.#pause(list.isPaused)
      onList(list)
    } catch (error) {
      if (this.#isStopped) return
      validMs = leastMs
      this.#complain(error instanceof Error ? error.message : String(error))
    }
    this.#lookedAtMs = this.#clock.nowMs()
    const hurry = this.#isHurried || isUrgent?.() === true
    const wantedMs = hurry ? leastMs : (validMs ?? intervalMs)
    this.#arm(Math.min(intervalMs, Math.max(leastMs, wantedMs)))
  }

  #arm(delayMs: number): void {
    this.#cancel?.()
    this.#cancel = this.#clock.after(delayMs, () => void this.#look())
  }

  /** Told when it begins and when it ends, not each time. */
  #complain(complaint: string | null): void {
    const before = this.#complaint
    this.#complaint = complaint
    const { source, onEvent } = this.#options
    if (complaint !== null && before === null) {
      const detail = `${source.kind}: ${complaint}; the nodes known so far stay`
      onEvent({ kind: 'discovery-failed', reason: source.kind, detail })
    } else if (complaint === null && before !== null) {
      const detail = `${source.kind} answers again`
      onEvent({ kind: 'discovery-recovered', reason: source.kind, detail })
    }
  }

  #pause(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return
    this.#isPaused = isPaused
    const { source, onEvent } = this.#options
    const detail = isPaused
      ? `${source.kind} is paused; no node is taken for gone`
      : `${source.kind} is no longer paused`
    const kind = isPaused ? 'discovery-paused' : 'discovery-resumed'
    onEvent({ kind, reason: source.kind, detail })
  }
}
