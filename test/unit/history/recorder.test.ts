import { describe, expect, it } from 'vitest'
import { EventHistory } from '../../../src/history/event-history.ts'
import { Recorder, type Tick } from '../../../src/history/recorder.ts'
import type { ClusterSample, NodeSample } from '../../../src/history/samples.ts'
import { LatencyHistogram } from '../../../src/metrics/latency-histogram.ts'
import { StatementTable } from '../../../src/metrics/statement-table.ts'

const served = new LatencyHistogram()
const waited = new LatencyHistogram()

const node = (name: string, fields: Partial<NodeSample> = {}): NodeSample => ({
  node: name,
  role: 'replica',
  state: 'up',
  reason: 'answers probes',
  zone: null,
  weight: 1,
  lagMs: 3,
  lagBytes: 0,
  inFlight: 0,
  active: 1,
  idle: 2,
  waiting: 0,
  requests: 0,
  reads: 0,
  errors: 0,
  read: { served, waited },
  write: null,
  ...fields,
})

const cluster = (nodes: readonly NodeSample[], fields: Partial<ClusterSample> = {}) => ({
  cluster: 'main',
  isPaused: false,
  clients: { idle: 1, active: 2, waiting: 3 },
  longestWaitMs: 0,
  retries: 0,
  misroutes: 0,
  nodes,
  statements: [],
  ...fields,
})

function recorder() {
  let nowMs = 10_000
  let samples: readonly ClusterSample[] = []
  const events = new EventHistory(10, () => nowMs)
  const made = new Recorder({ sample: () => samples, events, nowMs: () => nowMs })
  const ticks: Tick[] = []
  made.subscribe((tick) => ticks.push(tick))
  const tick = (sample: ClusterSample, forMs = 1_000): Record<string, number | null> => {
    samples = [sample]
    made.tick()
    nowMs += forMs
    const { columns = [] } = made.now() ?? {}
    const numbers = ticks.at(-1)?.numbers ?? []
    const keys = columns.map(({ node, what }) => (node === null ? what : `${node} ${what}`))
    return Object.fromEntries(keys.map((key, i) => [key, numbers[i] ?? null]))
  }
  return { made, events, ticks, tick }
}

describe('the recorder', () => {
  it('makes rates of counters, by the time that has really gone by', () => {
    const { tick } = recorder()
    const first = tick(cluster([node('r1', { requests: 100, reads: 80 })]), 2_000)
    expect(first['r1 reads']).toBeUndefined()
    const second = tick(cluster([node('r1', { requests: 160, reads: 120, errors: 4 })]))
    expect(second).toMatchObject({ 'r1 reads': 20, 'r1 other': 10, 'r1 errors': 2, waiting: 3 })
    // A node whose counters began anew has done nothing that is known.
    const third = tick(cluster([node('r1', { requests: 5, reads: 5 })]))
    expect(third).toMatchObject({ 'r1 reads': 0, 'r1 other': 0 })
    // And one that has come is no burst.
    const fourth = tick(cluster([node('r1', { requests: 5 }), node('r2', { requests: 1_000 })]))
    expect(fourth['r2 other']).toBe(0)
  })

  it('gives percentiles of the last second only', () => {
    const { tick } = recorder()
    for (let i = 0; i < 1_000; i++) served.record(500)
    tick(cluster([node('r1')]))
    expect(tick(cluster([node('r1')]))).toMatchObject({ p99: null, 'r1 p50': null })
    for (let i = 1; i <= 100; i++) served.record(i)
    const numbers = tick(cluster([node('r1')]))
    for (const [key, ms] of [
      ['p50', 50],
      ['p95', 95],
      ['r1 p99', 99],
    ] as const) {
      expect(Math.abs((numbers[key] ?? 0) / ms - 1), key).toBeLessThan(0.01)
    }
    // What a node takes along when it leaves is no negative count of the others.
    expect(tick(cluster([node('r1', { read: null })]))).toMatchObject({ p50: null })
  })

  it('tells columns when they change, events once, and newcomers all of it', () => {
    const { made, events, ticks, tick } = recorder()
    events.note('main', 'info', { event: 'node-up', node: 'r1' }, 'r1: answers probes')
    tick(cluster([node('r1')]))
    tick(cluster([node('r1')]))
    tick(cluster([node('r1')]))
    expect(ticks.map(({ events }) => events.length)).toEqual([1, 0, 0])
    expect(ticks.map(({ columns }) => columns !== undefined)).toEqual([true, true, false])
    expect(made.now()).toMatchObject({ events: [{ event: 'node-up' }], clusters: [{}] })
    expect(made.now()?.columns?.length).toBe(ticks[2]?.numbers.length)
    expect(JSON.stringify(ticks[2])).not.toContain('served')
  })

  it('has steps of ten seconds for each statement that its table knows', () => {
    const { made, tick } = recorder()
    const table = new StatementTable()
    const trace = { why: 'write', arrivedAtMs: 0, avoidsStale: false, rows: 1 } as never
    const request = { trace, startedAtMs: 0, size: 1, answerBytes: 1, attempts: 0, error: null }
    const cls = { text: 'select 1', reason: 'reads', timing: {} }
    const run = (times: number, onReplica: boolean) => {
      for (let i = 0; i < times; i++) table.answered('shop', cls, request, true, onReplica, 4)
    }
    run(10, false)
    for (let i = 0; i < 21; i++) {
      if (i === 5) run(30, true)
      tick(cluster([node('r1')], { statements: [...table.all] }))
    }
    const [stats] = [...table.all]
    if (stats === undefined) throw new Error('no statement')
    expect(made.statements.of(stats)).toMatchObject({
      stepMs: 10_000,
      atMs: 30_000,
      primary: [1, 0, 0],
      replicas: [0, 3, 0],
      meanMs: [4, 4, null],
    })
    expect(stats.id).toMatch(/^[0-9a-f]{16}$/)
  })
})
