import { setTimeout as sleep } from 'node:timers/promises'
import { PgSplitError } from '../errors.ts'
import { nowMs } from '../net/turn-clock.ts'
import { txStatus } from '../wire/message-types.ts'
import type { Scope } from './scope.ts'

export interface PauseOptions {
  readonly cluster: string
  readonly scopes: ReadonlyMap<string, Scope>
  /** `failover.pauseTimeout`, ms. */
  readonly timeoutMs: () => number
  /** What waits may go on. */
  readonly onEnd: () => void
}

/** How often is looked whether something still runs, ms. */
const lookEveryMs = 10

/** So many of those that hold a pause up are named. */
const maxNamed = 5

/**
 * PAUSE: what would begin waits, what runs may end, and then no server connection is kept, so that
 * the primary can be stopped, or another one promoted, without a client noticing more than a delay.
 */
export class Pause {
  readonly #options: PauseOptions
  #isOn = false
  #over = Promise.withResolvers<void>()

  constructor(options: PauseOptions) {
    this.#options = options
  }

  get isOn(): boolean {
    return this.#isOn
  }

  /**
   * Resolves when nothing runs any more and idle connections are closed. Rejects, with the pause
   * taken back, when that takes longer than the time-out or `signal` aborts (both 57014).
   */
  async begin(signal: AbortSignal): Promise<void> {
    const isFirst = !this.#isOn
    this.#isOn = true
    const timeoutMs = this.#options.timeoutMs()
    const endsAt = nowMs() + timeoutMs
    try {
      for (;;) {
        const busy = this.#busy()
        if (busy.length === 0) break
        if (signal.aborted) throw cancelled()
        if (nowMs() >= endsAt) throw this.#tooLong(busy, timeoutMs)
        await sleep(lookEveryMs)
        if (!this.#isOn) throw cancelled()
      }
    } catch (error) {
      if (isFirst) this.end()
      throw error
    }
    for (const scope of this.#options.scopes.values()) scope.recycle()
  }

  end(): void {
    if (!this.#isOn) return
    this.#isOn = false
    this.#over.resolve()
    this.#over = Promise.withResolvers<void>()
    this.#options.onEnd()
  }

  /** For log-ins, which need a server too: resolves when the pause is over. Rejects with 57P03. */
  async over(): Promise<void> {
    if (!this.#isOn) return
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => late.reject(this.#refusal()), this.#options.timeoutMs())
    try {
      await Promise.race([this.#over.promise, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  /** What still runs, in words. A pinned session that asks nothing holds nobody up. */
  #busy(): string[] {
    const busy: string[] = []
    for (const scope of this.#options.scopes.values()) {
      const where = `${scope.user} at ${scope.database}`
      for (const pool of scope.pools.values()) {
        const { connecting, waiting } = pool.counts()
        if (connecting > 0 || waiting > 0) busy.push(`${waiting} requests of ${where} are queued`)
        for (const connection of pool.connections) {
          const { depth, status, isSyncing, nodeId, id } = connection
          if (depth === 0 && status === txStatus.idle && !isSyncing) continue
          const holder = [...scope.sessions].find(({ lease }) => lease === connection)
          const who = holder === undefined ? 'a request' : `cl${holder.id}`
          const what = depth > 0 ? 'runs a statement' : 'is in a transaction'
          busy.push(`${who} of ${where} ${what} on sv${id} (${nodeId})`)
        }
      }
    }
    return busy
  }

  #tooLong(busy: readonly string[], timeoutMs: number): PgSplitError {
    const more = busy.length > maxNamed ? `, and ${busy.length - maxNamed} more` : ''
    return new PgSplitError({
      sqlstate: '57014',
      message: `cluster ${this.#options.cluster} is still at work after ${timeoutMs} ms, so it was resumed`,
      detail: `${busy.slice(0, maxNamed).join(', ')}${more}`,
      hint: 'KILL them or wait for their end, and PAUSE again; or raise failover.pauseTimeout.',
    })
  }

  #refusal(): PgSplitError {
    return new PgSplitError({
      sqlstate: '57P03',
      message: `cluster ${this.#options.cluster} is paused by the operator`,
      hint: 'RESUME in the admin database lets it go on.',
    })
  }
}

function cancelled(): PgSplitError {
  return new PgSplitError({ sqlstate: '57014', message: 'PAUSE was taken back' })
}
