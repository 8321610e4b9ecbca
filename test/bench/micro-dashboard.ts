/**
 * How soon the dashboard can be used: `node test/bench/micro-dashboard.ts 20 500`, for so many nodes and
 * statements and an hour of history. Prints ms from opening it in Debian's Chromium until all nodes, lines
 * of a plot and rows of statements are there (median and most of 10), the size of what is loaded, and what
 * a second and the whole hour cost the event loop.
 */
import { gzipSync } from 'node:zlib'
import { AuthRateLimit } from '../../src/auth/auth-rate-limit.ts'
import { MockVerifiers } from '../../src/auth/mock-verifier.ts'
import { EventHistory } from '../../src/history/event-history.ts'
import { Recorder } from '../../src/history/recorder.ts'
import type { ClusterSample } from '../../src/history/samples.ts'
import { HttpDoor } from '../../src/http/http-door.ts'
import { LatencyHistogram } from '../../src/metrics/latency-histogram.ts'
import { StatementTable } from '../../src/metrics/statement-table.ts'
import { ClientTls } from '../../src/net/tls-options.ts'
import { buildDashboard, startBrowser } from '../support/browser.ts'
import { SampleHttpSource } from '../unit/http/sample-http-source.ts'

const [nodeCount = 20, statementCount = 500] = process.argv.slice(2).map(Number)
const token = 'operator-token-0123456789'
const hourSeconds = 3_600
const opens = 10

const table = new StatementTable()
const trace = { why: 'write', arrivedAtMs: 0, avoidsStale: false, rows: 1 } as never
const request = { trace, startedAtMs: 0, size: 1, answerBytes: 1, attempts: 0, error: null }
for (let i = 0; i < statementCount; i++) {
  const text = `select a.id, b.name from accounts a join branches b using (branch_id) where c${i} = $1`
  table.answered('shop', { text, reason: 'writes', timing: {} }, request, false, false, 1 + i)
}
const latencies = Array.from({ length: nodeCount }, () => {
  return { served: new LatencyHistogram(), waited: new LatencyHistogram() }
})
let seconds = 0
const sample = (): ClusterSample => ({
  cluster: 'main',
  isPaused: false,
  clients: { idle: 800, active: 190, waiting: 10 },
  longestWaitMs: 3,
  retries: 0,
  misroutes: 0,
  nodes: latencies.map((one, i) => {
    for (let n = 0; n < 20; n++) {
      one.served.record(Math.random() * 20)
      one.waited.record(Math.random())
    }
    const requests = seconds * (900 + 40 * i) + Math.round(200 * Math.sin(seconds / 60 + i))
    return {
      node: i === 0 ? 'primary' : `replica${i}`,
      role: i === 0 ? 'primary' : 'replica',
      state: 'up',
      reason: 'answers probes',
      zone: `zone-${i % 3}`,
      weight: 1,
      lagMs: i === 0 ? null : Math.abs(30 * Math.sin(seconds / 40 + i)),
      lagBytes: 1_000,
      inFlight: 4,
      active: 9,
      idle: 11,
      waiting: 0,
      requests,
      reads: Math.floor(requests * 0.8),
      errors: 0,
      read: one,
      write: null,
    }
  }),
  statements: table.all,
})

const beganMs = Date.now() - hourSeconds * 1000
const recorder = new Recorder({
  sample: () => [sample()],
  events: new EventHistory(),
  nowMs: () => beganMs + seconds * 1000,
})
const tickMs: number[] = []
for (; seconds < hourSeconds; seconds++) {
  const began = performance.now()
  recorder.tick()
  tickMs.push(performance.now() - began)
}
const statementRows = [...table.all].map((one) => ({
  ...{ cluster: 'main', database: 'shop', query: one.text, id: one.id, calls: one.calls },
  ...{ primary_calls: 1, total_us: 1000, primary_us: one.primaryMs * 1000, replica_us: 0 },
  ...{ p50_us: 1, p95_us: 2, p99_us: 3, rows: 1, bytes: 1, errors: 0, retries: 0 },
  ...{ reason: 'write', why: 'it writes', advice: null, missing_us: 0 },
}))
class BenchSource extends SampleHttpSource {
  override readonly recorder = recorder
  override readonly admin = { ...new SampleHttpSource().admin, statements: () => statementRows }
  override readonly people = {
    tokens: () => [{ name: 'bench', token, role: 'operator' as const }],
    roleOf: () => null,
    secretOf: async () => null,
    trustsCertificates: false,
    rateLimit: new AuthRateLimit(),
    mockVerifiers: new MockVerifiers(),
  }
}

const median = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0
const shown = (numbers: readonly number[]) =>
  `median ${median(numbers).toFixed(2)}, most ${Math.max(...numbers).toFixed(2)}`

buildDashboard()
const door = await HttpDoor.open({
  listen: [{ host: '127.0.0.1', port: 0 }],
  maxConnections: 100,
  tls: new ClientTls({ mode: 'disable' }),
  source: new BenchSource(),
})
const url = `http://127.0.0.1:${door.addresses[0]?.port}/`
const timer = setInterval(() => {
  seconds++
  recorder.tick()
}, 1_000)
const browser = await startBrowser()
try {
  let size = 0
  for (const name of ['', 'main.js', 'main.css', 'icon.svg']) {
    size += gzipSync(await (await fetch(url + name)).bytes()).length
  }
  const encodeMs = Array.from({ length: 10 }, () => {
    const began = performance.now()
    recorder.encode(hourSeconds)
    return performance.now() - began
  })
  const usableMs: number[] = []
  for (let i = 0; i < opens; i++) {
    const context = await browser.newContext({
      viewport: { width: 1440, height: 900 },
      bypassCSP: true,
    })
    const page = await context.newPage()
    const began = performance.now()
    await page.goto(`${url}#token=${token}`)
    await page.waitForFunction(
      `document.querySelectorAll('table.nodes tbody tr').length === ${nodeCount} &&
       document.querySelectorAll('table.rows tbody tr').length >= ${Math.min(50, statementCount)} &&
       document.querySelectorAll('figure canvas').length >= 3 &&
       [...document.querySelectorAll('figure .legend b')].some((one) => /^[1-9]/.test(one.textContent))`,
      undefined,
      { polling: 20 },
    )
    usableMs.push(performance.now() - began)
    await context.close()
  }
  console.log(
    `usable, ms: ${shown(usableMs)} (${nodeCount} nodes, ${statementCount} statements, 1 h)`,
  )
  console.log(
    `loaded, compressed: ${size} bytes; the hour: ${recorder.encode(hourSeconds).length} bytes`,
  )
  console.log(
    `a second, ms: ${shown(tickMs.slice(60))}; to encode the hour, ms: ${shown(encodeMs)}`,
  )
} finally {
  clearInterval(timer)
  await browser.close()
  door.close()
}
process.exit(0)
