import type { AdminActions } from '../../../src/admin/admin-actions.ts'
import { AuthRateLimit } from '../../../src/auth/auth-rate-limit.ts'
import { MockVerifiers } from '../../../src/auth/mock-verifier.ts'
import { passwordSecret } from '../../../src/auth/stored-secret.ts'
import { EventHistory } from '../../../src/history/event-history.ts'
import { Recorder } from '../../../src/history/recorder.ts'
import type { ClusterSample } from '../../../src/history/samples.ts'
import { createApp } from '../../../src/http/app.ts'
import type { HttpPeople, HttpSource } from '../../../src/http/http-source.ts'
import type { Metric } from '../../../src/metrics/metric.ts'
import { primary, sampleSource } from '../admin/sample-source.ts'

export const readerToken = 'reader-token-0123456789'
export const operatorToken = 'operator-token-0123456789'

export const sampleMetrics: readonly Metric[] = [
  {
    name: 'pgsplit_requests_total',
    help: 'Requests that the node has answered.',
    type: 'counter',
    samples: [
      { labels: { cluster: 'main', node: 'primary' }, value: 3 },
      { labels: { cluster: 'main', node: 'a "b"\\c\n' }, value: 4 },
    ],
  },
  {
    name: 'pgsplit_wait_seconds',
    help: 'A histogram.',
    type: 'histogram',
    samples: [
      { labels: { le: '0.5' }, value: 1, suffix: '_bucket' },
      { labels: { le: '+Inf' }, value: 2, suffix: '_bucket' },
      { labels: {}, value: 0.75, suffix: '_sum' },
      { labels: {}, value: 2, suffix: '_count' },
    ],
  },
]

/** An HTTP source of constant answers that notes what it was asked to do. */
export class SampleHttpSource implements HttpSource {
  readonly done: string[] = []
  readonly noted: string[] = []
  reasons: readonly string[] = []
  isMetricsOpen = true
  readonly admin = sampleSource({
    nodes: () => [primary, { ...primary, node: 'r1', role: 'replica', lag_bytes: 2n ** 40n }],
  })
  /** What the recorder samples. */
  samples: readonly ClusterSample[] = []
  readonly recorder = new Recorder({
    sample: () => this.samples,
    events: new EventHistory(10, () => 1_000),
    nowMs: () => (this.clockMs += 1_000),
  })
  clockMs = 0
  /** What the next action fails with. */
  failure: Error | null = null
  readonly people: HttpPeople = {
    tokens: () => [
      { name: 'prometheus', token: readerToken, role: 'reader' },
      { name: 'deploy', token: operatorToken, role: 'operator' },
    ],
    roleOf: (user) => (user === 'admin' ? 'operator' : user === 'watcher' ? 'reader' : null),
    secretOf: async () => passwordSecret('pä:ss'),
    trustsCertificates: false,
    rateLimit: new AuthRateLimit(),
    mockVerifiers: new MockVerifiers(),
  }
  readonly actions: AdminActions = {
    pause: async (cluster) => this.#do(`pause ${cluster}`),
    resume: (cluster) => this.#do(`resume ${cluster}`),
    drain: (node) => this.#do(`drain ${node}`),
    undrain: (node) => this.#do(`undrain ${node}`),
    ban: (node, duration) => this.#do(`ban ${node} ${duration}`),
    unban: (node) => this.#do(`unban ${node}`),
    reload: async () => {
      this.#do('reload')
      return ['nothing has changed']
    },
    shutdown: (mode) => this.#do(`shutdown ${mode}`),
    kill: (client) => this.#do(`kill ${client}`),
  }

  metrics() {
    return sampleMetrics
  }

  statementHistory(cluster: string, id: string) {
    if (cluster !== 'main' || id !== 'known') return null
    const primary = [1, null]
    return { stepMs: 10_000, atMs: 20_000, primary, replicas: primary, meanMs: primary }
  }

  sessions(limit: number) {
    const rows = this.admin.clients()
    return { total: rows.length, pinned: { listen: 1 }, rows: rows.slice(0, limit) }
  }

  notReady() {
    return this.reasons
  }

  onAction(action: string, who: string, address: string): void {
    this.noted.push(`${who}@${address}: ${action}`)
  }

  #do(what: string): void {
    if (this.failure !== null) throw this.failure
    this.done.push(what)
  }
}

/** Asks the application as a caller at 192.0.2.1 would. */
export function ask(
  source: HttpSource,
  path: string,
  init: RequestInit = {},
  socket: Readonly<Record<string, unknown>> = {},
): Promise<Response> {
  const incoming = { socket: { remoteAddress: '192.0.2.1', ...socket } }
  return Promise.resolve(createApp(source, false).request(path, init, { incoming }))
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

export const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

/** An operator's request. */
export function post(
  body: unknown,
  headers: Readonly<Record<string, string>> = bearer(operatorToken),
): RequestInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  }
}
