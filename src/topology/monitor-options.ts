import { ConfigError } from '../errors.ts'
import { type Clock, systemClock } from './clock.ts'
import type { HealthOptions } from './health.ts'
import type { MonitorEvent } from './monitor-event.ts'
import { MAX_NODES, type NodeSpec } from './node.ts'
import type { OpenProbe } from './probe-connection.ts'

/** What may be changed while the monitor runs. */
export interface MonitorTuning {
  /** ms between rounds, default 1000. Without a primary the rounds come five times as often. */
  readonly probeIntervalMs?: number
  /** ms for dial, login and answer, default 1000; then the probe counts as failed. */
  readonly probeTimeoutMs?: number
  /** Good probes in a row until a node that was down is used again, default 2. */
  readonly rise?: number
  /** Failed probes in a row until a node is out, default 3; refused connections count at once. */
  readonly fall?: number
  /** Failed requests in a row that ban a replica, default 3; 0 = never. */
  readonly maxFails?: number
  /** ms: window of `maxFails` and first ban, default 10000; later bans double up to 32 times. */
  readonly failTimeoutMs?: number
  /** ms of lag above which a replica gets no reads, default 10000. */
  readonly maxLagMs?: number
  /** ms of lag at which it gets reads again, default 0.8 × `maxLagMs`. */
  readonly maxLagResumeMs?: number
  /** ms over which a node that came back grows to its full share, default 5000; 0 = at once. */
  readonly slowStartMs?: number
}

export interface MonitorOptions extends MonitorTuning {
  /** 1 to 31 nodes, `index` equal to the position in the list. */
  readonly nodes: readonly NodeSpec[]
  /** More nodes may join later (`Monitor.add`), so that the list may be empty. Default false. */
  readonly isOpen?: boolean
  /** Dials and logs in for probes; `probeOpener` of `core/` does. */
  readonly openProbe: OpenProbe
  /** Default: the process's own. */
  readonly clock?: Clock
  /** Lifecycle events for the log. What it throws is ignored. */
  readonly onEvent?: (event: MonitorEvent) => void
}

export interface MonitorSettings extends HealthOptions {
  readonly probeIntervalMs: number
  /** Spacing of extra probes: after a first good or bad one, and while there is no primary. */
  readonly fastIntervalMs: number
  readonly probeTimeoutMs: number
  readonly maxLagMs: number
  readonly maxLagResumeMs: number
  readonly clock: Clock
  readonly onEvent: (event: MonitorEvent) => void
}

const MIN_FAST_INTERVAL_MS = 20

export function monitorSettings(options: Partial<MonitorOptions>): MonitorSettings {
  const probeIntervalMs = options.probeIntervalMs ?? 1000
  const maxLagMs = options.maxLagMs ?? 10_000
  return {
    probeIntervalMs,
    fastIntervalMs: Math.max(MIN_FAST_INTERVAL_MS, probeIntervalMs / 5),
    probeTimeoutMs: options.probeTimeoutMs ?? 1000,
    rise: options.rise ?? 2,
    fall: options.fall ?? 3,
    maxFails: options.maxFails ?? 3,
    failTimeoutMs: options.failTimeoutMs ?? 10_000,
    maxLagMs,
    maxLagResumeMs: options.maxLagResumeMs ?? 0.8 * maxLagMs,
    slowStartMs: options.slowStartMs ?? 5000,
    clock: options.clock ?? systemClock,
    onEvent: options.onEvent ?? (() => {}),
  }
}

/** Throws a ConfigError with the path of the first entry that can't be watched. */
export function assertNodes(nodes: readonly NodeSpec[], isOpen = false): void {
  if ((nodes.length === 0 && !isOpen) || nodes.length > MAX_NODES) {
    throw new ConfigError('nodes', `${nodes.length} nodes; give 1 to ${MAX_NODES}`)
  }
  const ids = new Set<string>()
  nodes.forEach(({ id, index, weight }, position) => {
    const path = `nodes[${position}]`
    if (index !== position) throw new ConfigError(path, `index ${index} at position ${position}`)
    if (ids.has(id)) throw new ConfigError(path, `the name '${id}' is taken; give another one`)
    if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) {
      throw new ConfigError(`${path}.weight`, `${weight} is no weight; give 0 or more`)
    }
    ids.add(id)
  })
}
