import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type HealthInput,
  type HealthOptions,
  type HealthState,
  healthWord,
  INITIAL_HEALTH,
  isInTransition,
  nextHealth,
  slowStartFactor,
} from '../../../src/topology/health.ts'

const options: HealthOptions = {
  rise: 2,
  fall: 3,
  maxFails: 3,
  failTimeoutMs: 10_000,
  slowStartMs: 5000,
}

class Node {
  state: HealthState = INITIAL_HEALTH
  nowMs = 1000
  readonly options: HealthOptions

  constructor(given: Partial<HealthOptions> = {}) {
    this.options = { ...options, ...given }
  }

  feed(input: HealthInput, afterMs = 1000): HealthState {
    this.nowMs += afterMs
    this.state = nextHealth(this.state, input, this.nowMs, this.options)
    return this.state
  }

  good(afterMs = 1000): HealthState {
    return this.feed({ kind: 'good-probe', sentAtMs: this.nowMs + afterMs }, afterMs)
  }

  bad(hard = false): HealthState {
    return this.feed({ kind: 'failed-probe', hard, reason: 'no answer' })
  }

  report(hard = false, bannable = true, afterMs = 1000): HealthState {
    return this.feed({ kind: 'failure', hard, bannable, reason: 'reset' }, afterMs)
  }
}

describe('health', () => {
  it('is up after the first good probe of all', () => {
    const node = new Node()
    expect(node.good().phase).toBe('up')
    expect(slowStartFactor(node.state, node.nowMs, 5000)).toBe(1)
  })

  it('is down after as many failed probes in a row as `fall` says', () => {
    const node = new Node()
    node.good()
    node.bad()
    node.bad()
    expect(node.state.phase).toBe('up')
    expect(isInTransition(node.state)).toBe(true)
    node.good()
    node.bad()
    node.bad()
    expect(node.state.phase).toBe('up')
    expect(node.bad().phase).toBe('down')
    expect(node.state.reason).toBe('no answer')
  })

  it('is down at once when a probe is refused', () => {
    const node = new Node()
    node.good()
    expect(node.bad(true).phase).toBe('down')
  })

  it('is up again after `rise` good probes in a row, and eased in', () => {
    const node = new Node()
    node.good()
    node.bad(true)
    expect(node.good().phase).toBe('down')
    node.bad()
    node.good()
    expect(node.good().phase).toBe('up')
    expect(slowStartFactor(node.state, node.nowMs, 5000)).toBe(0.1)
    expect(slowStartFactor(node.state, node.nowMs + 2500, 5000)).toBe(0.5)
    expect(slowStartFactor(node.state, node.nowMs + 5000, 5000)).toBe(1)
    expect(slowStartFactor(node.state, node.nowMs, 0)).toBe(1)
  })

  it('believes a session that was refused until the next probe says otherwise', () => {
    const node = new Node()
    node.good()
    expect(node.report(true).phase).toBe('down')
    const before = node.feed({ kind: 'good-probe', sentAtMs: node.nowMs - 1 }, 10)
    expect(before.phase).toBe('down')
    expect(node.good(10).phase).toBe('up')
    expect(slowStartFactor(node.state, node.nowMs, 5000)).toBe(1)
  })

  it('bans a replica after `maxFails` failures in the window, each ban twice as long', () => {
    const node = new Node()
    node.good()
    node.report()
    node.report()
    expect(node.report().phase).toBe('banned')
    expect(node.state.banUntilMs).toBe(node.nowMs + 10_000)
    expect(node.good(9999).phase).toBe('banned')
    expect(node.good(1).phase).toBe('up')
    for (let i = 0; i < 3; i++) node.report()
    expect(node.state.banUntilMs).toBe(node.nowMs + 20_000)
  })

  it('counts failures anew after the window, after a success, and per incident', () => {
    const node = new Node()
    node.good()
    for (let i = 0; i < 50; i++) node.report(false, true, 1)
    expect(node.state.fails).toBe(1)
    node.report()
    node.report(false, true, 10_001)
    expect(node.state.fails).toBe(1)
    node.feed({ kind: 'success' })
    expect(node.state.fails).toBe(0)
    expect(node.state.phase).toBe('up')
  })

  it('never bans a primary, nor anybody with maxFails 0', () => {
    for (const node of [new Node(), new Node({ maxFails: 0 })]) {
      node.good()
      for (let i = 0; i < 20; i++) node.report(false, node.options.maxFails === 0)
      expect(node.state.phase).toBe('up')
    }
  })

  it('starts over with short bans after a calm time', () => {
    const node = new Node()
    node.good()
    for (let i = 0; i < 3; i++) node.report()
    node.good(10_000)
    node.good(20_001)
    expect(node.state.bans).toBe(0)
  })

  it('shows draining instead of up, and keeps judging underneath', () => {
    const node = new Node()
    node.good()
    node.feed({ kind: 'drain' })
    expect(healthWord(node.state)).toBe('draining')
    node.bad(true)
    expect(healthWord(node.state)).toBe('down')
    node.good()
    node.good()
    expect(healthWord(node.state)).toBe('draining')
    node.feed({ kind: 'undrain' })
    expect(healthWord(node.state)).toBe('up')
  })

  it('keeps an operator’s ban until it is lifted and the node has answered', () => {
    const node = new Node()
    node.good()
    node.feed({ kind: 'ban', forMs: null, reason: 'maintenance' })
    expect(node.good(1_000_000).phase).toBe('banned')
    expect(node.feed({ kind: 'unban' }).phase).toBe('down')
    expect(node.good().phase).toBe('up')
  })

  const input: fc.Arbitrary<HealthInput> = fc.oneof(
    fc.record({ kind: fc.constant('good-probe' as const), sentAtMs: fc.constant(0) }),
    fc.record({
      kind: fc.constant('failed-probe' as const),
      hard: fc.boolean(),
      reason: fc.constant('x'),
    }),
    fc.record({
      kind: fc.constant('failure' as const),
      hard: fc.boolean(),
      bannable: fc.boolean(),
      reason: fc.constant('x'),
    }),
    fc.constantFrom<HealthInput>({ kind: 'success' }, { kind: 'drain' }, { kind: 'undrain' }),
  )
  const history = fc.array(fc.tuple(input, fc.integer({ min: 1, max: 5000 })), { maxLength: 80 })

  it('never comes up but by a good probe, and never out of a ban before its time', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const node = new Node()
        for (const [given, afterMs] of steps) {
          const before = node.state
          const after = given.kind === 'good-probe' ? node.good(afterMs) : node.feed(given, afterMs)
          if (before.phase !== 'up' && after.phase === 'up') {
            expect(given.kind).toBe('good-probe')
            if (before.phase === 'banned') {
              expect(node.nowMs).toBeGreaterThanOrEqual(before.banUntilMs ?? Number.NaN)
            }
            if (before.phase === 'down' && !before.doubted) {
              expect(before.streak + 1).toBeGreaterThanOrEqual(options.rise)
            }
          }
          expect(after.banUntilMs === null).toBe(after.phase !== 'banned')
        }
      }),
    )
  })

  it('does not flap when good and bad probes alternate', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.integer({ min: 2, max: 60 }), (startUp, count) => {
        const node = new Node()
        node.good()
        if (!startUp) node.bad(true)
        const phase = node.state.phase
        for (let i = 0; i < count; i++) {
          if (i % 2 === 0) node.bad()
          else node.good()
          expect(node.state.phase).toBe(phase)
        }
      }),
    )
  })

  it('is changed by copying only', () => {
    fc.assert(
      fc.property(history, (steps) => {
        let state = INITIAL_HEALTH
        let nowMs = 0
        for (const [given, afterMs] of steps) {
          nowMs += afterMs
          state = Object.freeze(nextHealth(state, given, nowMs, options))
        }
      }),
    )
  })
})
