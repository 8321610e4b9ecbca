import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Metric, Sample } from '../metrics/metric.ts'

/** They walk through all sockets of the process: with thousands of clients that takes milliseconds. */
const costly = [
  'nodejs_active_resources',
  'nodejs_active_resources_total',
  'nodejs_active_handles',
  'nodejs_active_handles_total',
  'nodejs_active_requests',
  'nodejs_active_requests_total',
]

/** One for the process: what is watched for it (collections, event-loop delay) is never unwatched. */
let registry: Registry | null = null

/** The process's own part of the metrics: event-loop delay, collections, heap, CPU, files. */
export async function collectProcessMetrics(): Promise<Metric[]> {
  registry ??= watch()
  const found: unknown[] = await registry.getMetricsAsJSON()
  return found.flatMap((one) => {
    const { name, help, type, values } = one as Collected
    if (type !== 'counter' && type !== 'gauge' && type !== 'histogram') return []
    const samples = values.map(({ labels, value, metricName }): Sample => {
      const plain = { labels: wordsOf(labels), value }
      const suffix = metricName?.slice(name.length)
      const isPart = suffix === '_bucket' || suffix === '_sum' || suffix === '_count'
      return isPart ? { ...plain, suffix } : plain
    })
    return [{ name, help, type, samples }]
  })
}

function watch(): Registry {
  const own = new Registry()
  collectDefaultMetrics({ register: own })
  for (const name of costly) own.removeSingleMetric(name)
  return own
}

/** As prom-client gives it; its types say less. */
interface Collected {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly values: readonly {
    readonly labels: Readonly<Record<string, string | number>>
    readonly value: number
    readonly metricName?: string
  }[]
}

function wordsOf(labels: Readonly<Record<string, string | number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]))
}
