import type { Series } from './series.ts'

/** Target load of a replica, and from which load on it is overloaded, of what it can serve. */
const target = 0.7
const overloaded = 0.9
/** The load that all but this share of the time stays below is what so many replicas serve. */
const usualShare = 0.995
const usualReplicas = 8

/** How a way of scaling would have done. */
export interface Outcome {
  /** Share of the time in which the replicas were overloaded. */
  readonly overload: number
  /** Replica hours by those of whoever had known the load. */
  readonly cost: number
}

/** What one replica can serve. */
function capacityOf({ values }: Series): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort()
  const usual = sorted[Math.floor((sorted.length - 1) * usualShare)] ?? 0
  return usual / (usualReplicas * target)
}

/** Replicas for a load; never none. */
function replicasFor(load: number, capacity: number): number {
  return capacity > 0 ? Math.max(1, Math.ceil(load / (target * capacity))) : 1
}

/**
 * Runs a way of scaling over the values from index `from` on. `wanted[t]`: the load that it prepares
 * for at `t`. What is decided serves one horizon later, as a replica takes that long to start; a
 * replica goes when two decisions, a horizon apart, could do without it.
 */
export function simulate(
  series: Series,
  wanted: Float64Array,
  from: number,
  aheadSteps: number,
): Outcome {
  const capacity = capacityOf(series)
  let [over, count, hours, least] = [0, 0, 0, 0]
  for (let t = Math.max(from, 2 * aheadSteps); t < series.values.length; t++) {
    const load = series.values[t] ?? Number.NaN
    if (Number.isNaN(load)) continue
    let replicas = 1
    for (let ago = aheadSteps; ago <= 2 * aheadSteps; ago += aheadSteps) {
      const decided = wanted[t - ago] ?? Number.NaN
      if (!Number.isNaN(decided)) replicas = Math.max(replicas, replicasFor(decided, capacity))
    }
    count++
    hours += replicas
    least += replicasFor(load, capacity)
    if (load > overloaded * capacity * replicas) over++
  }
  return count === 0 ? { overload: 0, cost: 1 } : { overload: over / count, cost: hours / least }
}
