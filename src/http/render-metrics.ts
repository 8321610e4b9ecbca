import { type Metric as ClientMetric, Registry, type RegistryContentType } from 'prom-client'
import type { Metric } from '../metrics/metric.ts'

interface Page {
  readonly contentType: string
  readonly text: string
}

/** The exposition that `accept` (the header) asks for: OpenMetrics where it is named, else Prometheus' own. */
export async function renderMetrics(
  metrics: readonly Metric[],
  accept: string | undefined,
): Promise<Page> {
  const contentType = wantsOpenMetrics(accept ?? '')
    ? Registry.OPENMETRICS_CONTENT_TYPE
    : Registry.PROMETHEUS_CONTENT_TYPE
  const registry = new Registry<RegistryContentType>()
  registry.setContentType(contentType)
  // What is there already: the registry reads a metric by `name`, `type` and `get()` only.
  for (const metric of metrics)
    registry.registerMetric(new Taken(metric) as unknown as ClientMetric)
  return { contentType, text: await registry.metrics() }
}

/** Prometheus names it first when it can read it; `q` only orders what it would rather have. */
function wantsOpenMetrics(accept: string): boolean {
  const parts = accept.split(',').map((part) => part.trim())
  const quality = (type: string): number => {
    const found = parts.find((part) => part.startsWith(type))
    if (found === undefined) return -1
    return Number(/;\s*q=([\d.]+)/.exec(found)?.[1] ?? 1)
  }
  const own = quality('application/openmetrics-text')
  return own > 0 && own >= quality('text/plain')
}

class Taken {
  readonly #metric: Metric
  /** The registry cuts a counter's `_total` off for OpenMetrics. */
  name: string
  readonly type: Metric['type']

  constructor(metric: Metric) {
    this.#metric = metric
    this.name = metric.name
    this.type = metric.type
  }

  get() {
    const { name, type } = this
    return {
      name,
      type,
      help: this.#metric.help,
      values: this.#metric.samples.map(({ labels, value, suffix }) => ({
        labels,
        value,
        ...(suffix === undefined ? {} : { metricName: `${name}${suffix}` }),
      })),
    }
  }
}
