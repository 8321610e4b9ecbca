import { afterEach, expect, it } from 'vitest'
import { SilentNodes } from '../../../src/core/silent-nodes.ts'
import { newCounters } from '../../../src/routing/counters.ts'
import { LoadTable } from '../../../src/routing/load.ts'
import { snapshotOf, view } from '../routing/fixtures.ts'

let silent: SilentNodes | null = null
afterEach(() => silent?.stop())

function setUp() {
  const load = new LoadTable()
  const counters = newCounters()
  const left: number[] = []
  const asked: number[] = []
  const waiting: number[] = []
  const now = { ms: 10_000 }
  const probed = { atMs: 9_000 }
  const nodes = new SilentNodes({
    load,
    counters,
    snapshot: () =>
      snapshotOf([0, 1, 2].map((index) => view(index, { observedAtMs: probed.atMs }))),
    nowMs: () => now.ms,
    readTimeoutMs: 800,
    waiting: (index) => waiting[index] ?? 0,
    ask: (index) => asked.push(index),
    onSilent: (index) => left.push(index),
  })
  silent = nodes
  const pass = (ms: number): void => {
    for (let at = 0; at < ms; at += 100) {
      now.ms += 100
      nodes.look()
    }
  }
  return { load, counters, left, asked, waiting, probed, now, pass, look: () => nodes.look() }
}

it('leaves a replica that owes an answer before the time is up, and only that', () => {
  const { load, left, pass } = setUp()
  pass(300)
  load.start(0)
  load.start(1)
  pass(500)
  expect(left).toEqual([])
  pass(100)
  expect(left).toEqual([1])
})

it('takes any answer, and any probe, for a sign of life', () => {
  const { load, counters, left, probed, now, pass } = setUp()
  load.start(1)
  for (let i = 1; i <= 10; i++) {
    pass(500)
    counters.requests[1] = i
  }
  for (let i = 0; i < 10; i++) {
    pass(500)
    probed.atMs = now.ms
  }
  expect(left).toEqual([])
  pass(800)
  expect(left).toEqual([1])
})

it('asks a replica that is late once before it leaves it', () => {
  const { load, left, asked, pass } = setUp()
  load.start(2)
  pass(300)
  expect(asked).toEqual([])
  pass(200)
  expect([asked, left]).toEqual([[2], []])
  pass(200)
  expect([asked, left]).toEqual([[2], [2]])
})

it('keeps a replica that is slow with a long query and answers when it is asked', () => {
  const { load, left, asked, probed, now, pass } = setUp()
  load.start(1)
  for (let i = 1; i <= 20; i++) {
    pass(400)
    if (asked.length > 0) probed.atMs = now.ms
  }
  expect(asked.length).toBeGreaterThan(5)
  expect(left).toEqual([])
})

it('leaves a replica that owes nothing but connections', () => {
  const { left, waiting, pass } = setUp()
  waiting[1] = 3
  pass(800)
  expect(left).toEqual([1])
})

it('accuses nobody when pgsplit itself has stood still', () => {
  const { load, left, now, pass, look } = setUp()
  load.start(1)
  pass(300)
  now.ms += 2_000
  look()
  pass(300)
  expect(left).toEqual([])
})

it('says nothing of a replica that owes nothing, however long', () => {
  const { load, left, pass } = setUp()
  pass(5_000)
  load.start(2)
  pass(300)
  load.finish(2, 1)
  pass(5_000)
  expect(left).toEqual([])
})
