import { packageVersion } from '../config/version.ts'
import type { Metric, Sample } from '../metrics/metric.ts'
import type { Cluster } from './cluster.ts'
import { clusterMetrics } from './cluster-metrics.ts'
import type { FrontDoor } from './front-door.ts'
import { causeOf } from './login-causes.ts'
import { nodeMetrics } from './node-metrics.ts'

/** What is measured, copied out of the live objects at the moment of the scrape. */
export function metricsOf(door: FrontDoor): Metric[] {
  const { clusters, config } = door.options
  const byCluster = clusters.map((cluster) => [...clusterMetrics(cluster), ...nodeMetrics(cluster)])
  const [first = []] = byCluster
  return [
    one('pgsplit_build_info', 'gauge', 'Version of pgsplit and of Node.js; always 1.', 1, {
      version: packageVersion(),
      node_version: process.version,
    }),
    one(
      'pgsplit_clients_max',
      'gauge',
      'Clients that may be connected (limits.maxClients).',
      config.limits.maxClients,
    ),
    one(
      'pgsplit_draining',
      'gauge',
      '1 while pgsplit drains before it stops.',
      door.isDraining ? 1 : 0,
    ),
    one('pgsplit_logins_total', 'counter', 'Clients that have logged in.', door.logins),
    loginFailures(door),
    pinned(clusters),
    // The same families in the same order for each: their samples go together.
    ...first.map((metric, i) => ({
      ...metric,
      samples: byCluster.flatMap((metrics) => metrics[i]?.samples ?? []),
    })),
  ]
}

function one(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  value: number,
  labels: Sample['labels'] = {},
): Metric {
  return { name, help, type, samples: [{ labels, value }] }
}

function loginFailures({ loginFailures: bySqlstate }: FrontDoor): Metric {
  const byCause = new Map<string, number>()
  for (const [sqlstate, count] of bySqlstate) {
    const cause = causeOf(sqlstate)
    byCause.set(cause, (byCause.get(cause) ?? 0) + count)
  }
  return {
    name: 'pgsplit_login_failures_total',
    help: 'Log-ins that came to nothing, by cause.',
    type: 'counter',
    samples: [...byCause].map(([cause, value]) => ({ labels: { cause }, value })),
  }
}

function pinned(clusters: readonly Cluster[]): Metric {
  const samples = clusters.flatMap(({ name, scopes }) => {
    const byReason = new Map<string, number>()
    for (const { sessions } of scopes.values()) {
      for (const { pinWord } of sessions) {
        if (pinWord !== null) byReason.set(pinWord, (byReason.get(pinWord) ?? 0) + 1)
      }
    }
    return [...byReason].map(([reason, value]) => ({ labels: { cluster: name, reason }, value }))
  })
  return {
    name: 'pgsplit_pinned_clients',
    help: 'Clients that keep their server connection now, by what keeps it.',
    type: 'gauge',
    samples,
  }
}
