import type { Clock } from './clock.ts'
import type { NodeSpec } from './node.ts'
import { type Observation, type ProbeLevel, parseObservation, probeSql } from './probe.ts'
import type { OpenProbe, ProbeConnection } from './probe-connection.ts'
import { type ProbeFailure, ProbeTimeout, probeFailure } from './probe-failure.ts'

export type ProbeOutcome =
  | { readonly ok: true; readonly observation: Observation; readonly level: ProbeLevel }
  | { readonly ok: false; readonly failure: ProbeFailure }

export interface ProberOptions {
  readonly node: NodeSpec
  readonly open: OpenProbe
  /** For dial, login and answer together. */
  readonly timeoutMs: number
  readonly clock: Clock
  /** The idle connection broke: a hint to probe now. */
  readonly onLost: () => void
}

const MAX_LOGIN_BACKOFF_MS = 30_000

/** Asks one node, over a connection that it keeps. One question at a time. */
export class Prober {
  readonly #options: ProberOptions
  #connection: ProbeConnection | null = null
  #abort: AbortController | null = null
  #level: ProbeLevel = 'full'
  #loginFailures = 0
  #loginAfterMs = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(options: ProberOptions) {
    this.#options = options
  }

  /**
   * Never rejects, and ends within `timeoutMs` (twice that if our own event loop stood still).
   * `fresh` dials anew: an old connection proves nothing while new ones are refused. It is asked
   * after all if dialling fails on our side, which says nothing of the node. null = not asked,
   * because the server refused our login lately: locking an account helps nobody.
   */
  async probe(fresh: boolean): Promise<ProbeOutcome | null> {
    if (this.#closed) return null
    const kept = fresh ? this.#connection : null
    if (kept !== null) this.#connection = null
    const { clock } = this.#options
    if (this.#connection === null && clock.nowMs() < this.#loginAfterMs) return null
    const abort = new AbortController()
    this.#abort = abort
    try {
      const observation = await this.#timed(this.#askFresh(kept, abort.signal), abort.signal)
      this.#loginFailures = 0
      return { ok: true, observation, level: this.#level }
    } catch (error) {
      const failure = probeFailure(error)
      this.#drop()
      if (failure.kind === 'login') this.#backOff()
      return { ok: false, failure }
    } finally {
      abort.abort()
      this.#abort = null
    }
  }

  /** Gives up what is running and closes the connection, for good. */
  close(): void {
    this.#closed = true
    this.#abort?.abort()
    this.#drop()
  }

  /** Asks; `kept` is what a fresh connection takes the place of. */
  async #askFresh(kept: ProbeConnection | null, signal: AbortSignal): Promise<Observation> {
    try {
      const observation = await this.#ask(signal)
      kept?.close()
      return observation
    } catch (error) {
      if (kept === null || signal.aborted || probeFailure(error).kind !== 'own') {
        kept?.close()
        throw error
      }
      this.#drop()
      this.#connection = kept
      return await this.#ask(signal)
    }
  }

  async #ask(signal: AbortSignal): Promise<Observation> {
    const reused = this.#connection !== null
    try {
      return await this.#askOnce(signal)
    } catch (error) {
      if (signal.aborted) throw error
      const { kind, sqlstate } = probeFailure(error)
      if (this.#level === 'full' && (sqlstate === '42501' || sqlstate === '42883')) {
        if (kind === 'login' && this.#connection === null) throw error
        this.#level = 'basic'
        return await this.#askOnce(signal)
      }
      // Only a fresh connection's failure counts: the kept one may have died of age.
      if (!reused || (sqlstate !== null && kind !== 'shutdown')) throw error
      this.#drop()
      return await this.#askOnce(signal).catch((later: unknown) => {
        // Not dialled at all: the last word is what the node said itself.
        throw kind === 'shutdown' && probeFailure(later).kind === 'own' ? error : later
      })
    }
  }

  async #askOnce(signal: AbortSignal): Promise<Observation> {
    const { clock } = this.#options
    const connection = this.#connection ?? (await this.#dial(signal))
    const sentAtMs = clock.nowMs()
    const row = await connection.query(probeSql(this.#level))
    return parseObservation(row, sentAtMs, clock.nowMs())
  }

  async #dial(signal: AbortSignal): Promise<ProbeConnection> {
    const { node, open, onLost } = this.#options
    const connection = await open(node, {
      signal,
      onLost: () => {
        if (this.#connection !== connection || this.#closed) return
        this.#connection = null
        // While a question runs, its own failure says the same.
        if (this.#abort === null) onLost()
      },
    })
    if (signal.aborted || this.#closed) {
      connection.close()
      throw new Error('the probe was given up while dialling')
    }
    this.#connection = connection
    return connection
  }

  #timed<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    const { clock, timeoutMs } = this.#options
    return new Promise((resolve, reject) => {
      let cancel = (): void => {}
      const arm = (graces: number): void => {
        const dueMs = clock.nowMs() + timeoutMs
        cancel = clock.after(timeoutMs, () => {
          // A timer this late means that we stood still, not the node: its answer may be waiting.
          if (graces > 0 && clock.nowMs() - dueMs > timeoutMs / 4) return arm(graces - 1)
          reject(new ProbeTimeout(timeoutMs))
        })
      }
      arm(1)
      signal.addEventListener('abort', () => {
        cancel()
        reject(new Error('the probe was given up'))
      })
      work.then(resolve, reject).finally(() => cancel())
    })
  }

  #backOff(): void {
    this.#loginFailures += 1
    const delayMs = Math.min(MAX_LOGIN_BACKOFF_MS, 1000 * 2 ** (this.#loginFailures - 1))
    this.#loginAfterMs = this.#options.clock.nowMs() + delayMs
  }

  #drop(): void {
    this.#connection?.close()
    this.#connection = null
  }
}
