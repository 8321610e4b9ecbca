import { describe, expect, it } from 'vitest'
import { Prober } from '../../../src/topology/prober.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { coded, FakeNode, openFake, spec } from './fake-node.ts'

function setUp() {
  const node = new FakeNode('replica')
  const clock = new FakeClock()
  let lost = 0
  const prober = new Prober({
    node: spec(0),
    open: openFake([node]),
    timeoutMs: 1000,
    clock,
    onLost: () => {
      lost += 1
    },
  })
  return { node, clock, prober, lost: () => lost }
}

describe('the prober', () => {
  it('keeps its connection from probe to probe, and dials anew when asked for a fresh one', async () => {
    const { node, prober } = setUp()
    expect(await prober.probe(false)).toMatchObject({ ok: true, level: 'full' })
    await prober.probe(false)
    expect(node.dials).toBe(1)
    await prober.probe(true)
    expect(node.dials).toBe(2)
    expect(node.open).toBe(1)
  })

  it('asks over the kept connection when a fresh one can not be dialled from here', async () => {
    const { node, prober } = setUp()
    await prober.probe(false)
    node.dial = Object.assign(new Error('no descriptor is left'), { failure: 'own' })
    expect(await prober.probe(true)).toMatchObject({ ok: true })
    expect(node.open).toBe(1)
    node.answer = coded('57P01')
    expect(await prober.probe(true)).toMatchObject({ ok: false, failure: { kind: 'shutdown' } })
    expect(await prober.probe(false)).toMatchObject({ ok: false, failure: { kind: 'own' } })
    expect(node.open).toBe(0)
  })

  it('does not hold the death of a kept connection against the node', async () => {
    const { node, prober } = setUp()
    await prober.probe(false)
    const answer = prober.probe(false)
    node.answer = coded('ECONNRESET')
    await settle()
    node.answer = 'ok'
    expect(await answer).toMatchObject({ ok: true })
    node.answer = coded('57P01')
    expect(await prober.probe(false)).toMatchObject({ ok: false, failure: { kind: 'shutdown' } })
    expect(node.open).toBe(0)
  })

  it.each(['dial', 'answer'] as const)('gives a hanging %s up in time and closes', async (what) => {
    const { node, clock, prober } = setUp()
    node[what] = 'hang'
    const outcome = prober.probe(false)
    await clock.advance(999)
    await clock.advance(1)
    expect(await outcome).toMatchObject({ ok: false, failure: { kind: 'timeout', hard: false } })
    expect(node.open).toBe(0)
    expect(clock.timers).toBe(0)
  })

  it('grants one more time-out when our own event loop stood still', async () => {
    const { node, clock, prober } = setUp()
    node.answer = 'hang'
    let ended = false
    const outcome = prober.probe(false).finally(() => {
      ended = true
    })
    await settle()
    clock.stall(1400)
    await clock.advance(0)
    expect(ended).toBe(false)
    await clock.advance(1000)
    expect(await outcome).toMatchObject({ ok: false, failure: { kind: 'timeout' } })
  })

  it('goes on without the control file where it may not read that', async () => {
    const { node, prober } = setUp()
    node.controlFile = false
    expect(await prober.probe(false)).toMatchObject({ ok: true, level: 'basic' })
    const asked = node.questions
    await prober.probe(false)
    expect(node.questions).toBe(asked + 1)
  })

  it('backs off when the login is refused', async () => {
    const { node, clock, prober } = setUp()
    node.dial = coded('28P01')
    expect(await prober.probe(false)).toMatchObject({ ok: false, failure: { kind: 'login' } })
    expect(await prober.probe(true)).toBeNull()
    await clock.advance(1000)
    expect(await prober.probe(true)).toMatchObject({ ok: false })
    await clock.advance(1000)
    expect(await prober.probe(true)).toBeNull()
    expect(node.dials).toBe(2)
  })

  it('tells that its idle connection broke, and nothing after it was closed', async () => {
    const { node, prober, lost } = setUp()
    await prober.probe(false)
    node.cut()
    expect(lost()).toBe(1)
    await prober.probe(false)
    prober.close()
    node.cut()
    expect(lost()).toBe(1)
    expect(node.open).toBe(0)
    expect(await prober.probe(false)).toBeNull()
  })

  it('ends a running probe when it is closed', async () => {
    const { node, prober } = setUp()
    node.answer = 'hang'
    const outcome = prober.probe(false)
    await settle()
    prober.close()
    expect(await outcome).toMatchObject({ ok: false })
    expect(node.open).toBe(0)
  })
})
