import type { PgbenchResult } from './pgbench.ts'

/** The runs of one contestant in one cell, one per round; an error stands in for a failed run. */
export type Runs = readonly (PgbenchResult | Error)[]

/** Cell id → contestant's name → runs. */
export type Results = ReadonlyMap<string, ReadonlyMap<string, Runs>>

export interface Summary {
  readonly tps: number
  readonly cpuMicros: number | null
}

/** Medians over the rounds; the first error when a run failed; null when there was none. */
export function summarize(runs: Runs | undefined): Summary | Error | null {
  if (runs === undefined || runs.length === 0) return null
  const results: PgbenchResult[] = []
  for (const run of runs) {
    if (run instanceof Error) return run
    results.push(run)
  }
  const cpu = results.map(({ cpuMicros }) => cpuMicros).filter((value) => value !== null)
  return {
    tps: median(results.map(({ tps }) => tps)),
    cpuMicros: cpu.length === 0 ? null : median(cpu),
  }
}

/**
 * Median of the rounds' own ratios: what disturbs the machine in one round disturbs both sides.
 * null when one side has no figure.
 */
export function ratio(
  ours: Runs | undefined,
  theirs: Runs | undefined,
  figure: (result: PgbenchResult) => number | null,
): number | null {
  const ratios: number[] = []
  for (const [round, run] of (ours ?? []).entries()) {
    const other = theirs?.[round]
    if (other === undefined || run instanceof Error || other instanceof Error) return null
    const [above, below] = [figure(run), figure(other)]
    if (above === null || below === null || below === 0) return null
    ratios.push(above / below)
  }
  return ratios.length === 0 ? null : median(ratios)
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
}
