import type { StatementStats } from '../metrics/statement-table.ts'

/** Numbers of one statement in steps, the oldest first; null: it was not there yet. */
export interface StatementHistory {
  readonly stepMs: number
  /** End of the last step, ms since 1970. */
  readonly atMs: number
  /** Calls per second that the primary, and that replicas have answered. */
  readonly primary: readonly (number | null)[]
  readonly replicas: readonly (number | null)[]
  /** Mean time at the servers, ms; null also where there were no calls. */
  readonly meanMs: readonly (number | null)[]
}

interface Series {
  readonly primary: Float32Array
  readonly replicas: Float32Array
  readonly meanMs: Float32Array
  calls: number
  primaryCalls: number
  totalMs: number
}

/** How each statement of a table has run for the last hour: as long as the table knows it. */
export class StatementSeries {
  readonly #stepMs: number
  readonly #steps: number
  /** Who is dropped from its table takes its numbers along. */
  readonly #series = new WeakMap<StatementStats, Series>()
  #step = 0
  #atMs = 0

  constructor(stepMs: number, steps: number) {
    this.#stepMs = stepMs
    this.#steps = steps
  }

  /** To be called every `stepMs`, with all statements. */
  note(statements: Iterable<StatementStats>, atMs: number): void {
    const seconds = this.#stepMs / 1000
    const place = this.#step % this.#steps
    for (const stats of statements) {
      const series = this.#of(stats)
      const calls = stats.calls - series.calls
      const onPrimary = stats.primaryCalls - series.primaryCalls
      series.primary[place] = onPrimary / seconds
      series.replicas[place] = (calls - onPrimary) / seconds
      series.meanMs[place] = calls === 0 ? Number.NaN : (stats.totalMs - series.totalMs) / calls
      series.calls = stats.calls
      series.primaryCalls = stats.primaryCalls
      series.totalMs = stats.totalMs
    }
    this.#step++
    this.#atMs = atMs
  }

  of(stats: StatementStats): StatementHistory {
    const series = this.#series.get(stats)
    const rows = Math.min(this.#step, this.#steps)
    const inOrder = (numbers: Float32Array | undefined): (number | null)[] =>
      Array.from({ length: rows }, (_, i) => {
        const number = numbers?.[(this.#step - rows + i) % this.#steps] ?? Number.NaN
        return Number.isNaN(number) ? null : Math.round(number * 1000) / 1000
      })
    return {
      stepMs: this.#stepMs,
      atMs: this.#atMs,
      primary: inOrder(series?.primary),
      replicas: inOrder(series?.replicas),
      meanMs: inOrder(series?.meanMs),
    }
  }

  #of(stats: StatementStats): Series {
    const known = this.#series.get(stats)
    if (known !== undefined) return known
    const none = () => new Float32Array(this.#steps).fill(Number.NaN)
    const series = {
      primary: none(),
      replicas: none(),
      meanMs: none(),
      calls: 0,
      primaryCalls: 0,
      totalMs: 0,
    }
    this.#series.set(stats, series)
    return series
  }
}
