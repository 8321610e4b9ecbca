/**
 * What measuring costs: `node test/bench/micro-metrics.ts`. Prints ns per recorded latency (at most
 * 150), per answered request with both of its latencies, and ms per scrape.
 */
import { renderMetrics } from '../../src/http/render-metrics.ts'
import { LatencyHistogram } from '../../src/metrics/latency-histogram.ts'
import { RequestMeter, RequestTrace } from '../../src/metrics/request-meter.ts'
import { StatementTable } from '../../src/metrics/statement-table.ts'

const runs = 2_000_000
const rounds = 7

/** Latencies as a busy proxy has them: most around 0.2 ms, some of milliseconds, few of seconds. */
const latenciesMs = Array.from(
  { length: 4096 },
  (_, i) => 0.05 * 1.0025 ** ((i * 2_654_435_761) % 4096),
)

function best(run: () => void): number {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round++) {
    const began = process.hrtime.bigint()
    run()
    least = Math.min(least, Number(process.hrtime.bigint() - began))
  }
  return least
}

function print(what: string, figure: string): void {
  process.stdout.write(`${what.padEnd(44)} ${figure.padStart(10)}\n`)
}

const histogram = new LatencyHistogram()
const perRecord =
  best(() => {
    for (let i = 0; i < runs; i++) histogram.record(latenciesMs[i & 4095] as number)
  }) / runs
print('a latency recorded', `${perRecord.toFixed(1)} ns`)

const meter = new RequestMeter()
const requests = ['read', 'write', 'pinned', 'transaction'].map((why) => {
  const trace = new RequestTrace(why)
  trace.countRow()
  return { trace, startedAtMs: 0.01, size: 60, answerBytes: 90 }
})
const perRequest =
  best(() => {
    for (let i = 0; i < runs; i++) {
      const request = requests[i & 3] as (typeof requests)[number]
      meter.answered(i % 3, (i & 3) === 0, request, latenciesMs[i & 4095] as number)
    }
  }) / runs
print('a request answered', `${perRequest.toFixed(1)} ns`)

const statements = new StatementTable()
const classes = Array.from({ length: 64 }, (_, i) => ({
  text: `select ${i}`,
  reason: 'proved read-only',
  timing: {},
}))
const ran = requests.map((request) => ({ ...request, attempts: 0, error: null }))
const perStatement =
  best(() => {
    for (let i = 0; i < runs; i++) {
      const cls = classes[i & 63] as (typeof classes)[number]
      const request = ran[i & 3] as (typeof ran)[number]
      const ms = latenciesMs[i & 4095] as number
      statements.answered('app', cls, request, true, (i & 3) === 0, ms)
    }
  }) / runs
print('a statement noted', `${perStatement.toFixed(1)} ns`)

// 31 nodes, each with all four histograms.
const samples = Array.from({ length: 31 * 4 }, (_, i) =>
  histogram.samples({ node: `r${i}` }),
).flat()
const began = process.hrtime.bigint()
const pages = 20
for (let i = 0; i < pages; i++) {
  await renderMetrics([{ name: 'x_seconds', help: 'x', type: 'histogram', samples }], 'text/plain')
}
const ms = Number(process.hrtime.bigint() - began) / pages / 1e6
print(`${samples.length} samples as text`, `${ms.toFixed(2)} ms`)
