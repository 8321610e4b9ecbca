import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Balancer, BalancerName } from '../../../../src/routing/balancers/balancer.ts'
import { createBalancer } from '../../../../src/routing/balancers/create-balancer.ts'
import { LoadTable } from '../../../../src/routing/load.ts'
import type { NodeView } from '../../../../src/topology/node.ts'
import { view } from '../fixtures.ts'

const NAMES: readonly BalancerName[] = [
  'least-connections',
  'round-robin',
  'weighted-random',
  'ip-hash',
  'latency',
]

/** mulberry32: chance that is the same in every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

function shares(
  balancer: Balancer,
  nodes: readonly NodeView[],
  picks: number,
  load = new LoadTable(),
): Map<string, number> {
  const counts = new Map<string, number>(nodes.map(({ id }) => [id, 0]))
  for (let key = 0; key < picks; key++) {
    const { id } = balancer.pick(nodes, load, Math.imul(key, 0x9e3779b1))
    counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return new Map([...counts].map(([id, count]) => [id, count / picks]))
}

describe.each(NAMES)('the %s balancer', (name) => {
  it('shares evenly among equal nodes, within 10 %', () => {
    const nodes = [view(1), view(2), view(3)]
    const got = shares(createBalancer(name, seeded(7)), nodes, 9000)
    for (const share of got.values()) expect(Math.abs(share - 1 / 3)).toBeLessThan(0.1 / 3)
  })

  it('picks one of the candidates, for any load, weight and key', () => {
    const node = fc.record({
      index: fc.integer({ min: 1, max: 30 }),
      weight: fc.integer({ min: 1, max: 1000 }),
      busy: fc.nat(1000),
    })
    const given = fc.uniqueArray(node, { minLength: 1, selector: ({ index }) => index })
    const balancer = createBalancer(name, seeded(3))
    fc.assert(
      fc.property(given, fc.integer(), (list, key) => {
        const load = new LoadTable()
        for (const { index, busy } of list) load.inFlight[index] = busy
        const nodes = list.map(({ index, weight }) => view(index, { weight }))
        expect(nodes).toContain(balancer.pick(nodes, load, key))
      }),
    )
  })

  it('throws a clear error without candidates', () => {
    const pick = () => createBalancer(name).pick([], new LoadTable(), 0)
    expect(pick).toThrow('at least one candidate')
  })

  it('has the name that it is configured by', () => {
    expect(createBalancer(name).name).toBe(name)
  })
})

describe.each(['round-robin', 'least-connections', 'weighted-random', 'ip-hash'] as const)(
  'the %s balancer',
  (name) => {
    it('shares by weight on idle nodes', () => {
      const nodes = [view(1, { weight: 3 }), view(2, { weight: 1 })]
      const got = shares(createBalancer(name, seeded(11)), nodes, 8000)
      expect(got.get('r1')).toBeGreaterThan(0.72)
      expect(got.get('r1')).toBeLessThan(0.78)
    })

    it('eases a node in by its slow start', () => {
      const seen = [0.1, 0.5, 1].map((factor) => {
        const nodes = [view(1), view(2, { slowStartFactor: factor, effectiveWeight: factor })]
        return shares(createBalancer(name, seeded(5)), nodes, 6000).get('r2') ?? 0
      })
      expect(seen[0]).toBeCloseTo(0.1 / 1.1, 1)
      expect(seen[1]).toBeCloseTo(0.5 / 1.5, 1)
      expect(seen[2]).toBeCloseTo(0.5, 1)
    })
  },
)

describe('least connections', () => {
  it('picks an idle node before a busy one, and never one much busier than the least busy', () => {
    const node = fc.record({ weight: fc.integer({ min: 1, max: 9 }), busy: fc.nat(20) })
    const balancer = createBalancer('least-connections')
    fc.assert(
      fc.property(fc.array(node, { minLength: 1, maxLength: 8 }), (list) => {
        const load = new LoadTable()
        const nodes = list.map(({ weight }, i) => view(i + 1, { weight }))
        list.forEach(({ busy }, i) => {
          load.inFlight[i + 1] = busy
        })
        const ratio = (n: NodeView) => (load.inFlight[n.index] ?? 0) / n.effectiveWeight
        const picked = balancer.pick(nodes, load, 0)
        const least = Math.min(...nodes.map(ratio))
        expect(ratio(picked)).toBeLessThanOrEqual(least === 0 ? 0 : least * 1.5 + 1)
      }),
    )
  })

  it('rotates ties', () => {
    const balancer = createBalancer('least-connections')
    const nodes = [view(1), view(2), view(3)]
    const picked = [0, 0, 0, 0, 0, 0].map(() => balancer.pick(nodes, new LoadTable(), 0).id)
    expect(new Set(picked.slice(0, 3)).size).toBe(3)
    expect(picked.slice(3)).toEqual(picked.slice(0, 3))
  })

  it('keeps the numbers in flight in step while requests come and go', () => {
    const balancer = createBalancer('least-connections')
    const nodes = [view(1), view(2), view(3)]
    const load = new LoadTable()
    const random = seeded(9)
    const open: number[] = []
    for (let i = 0; i < 3000; i++) {
      if (open.length > 30 || (open.length > 0 && random() < 0.4)) {
        const [done] = open.splice(Math.floor(random() * open.length), 1)
        load.finish(done ?? 0, 1)
      } else {
        const before = nodes.map(({ index }) => load.inFlight[index] ?? 0)
        const { index } = balancer.pick(nodes, load, 0)
        const least = Math.min(...before)
        expect(load.inFlight[index]).toBeLessThanOrEqual(least === 0 ? 0 : least * 1.5 + 1)
        load.start(index)
        open.push(index)
      }
    }
  })
})

describe('least connections after a hold-up', () => {
  it('gives a node the turns back that it missed while it was slow', () => {
    const balancer = createBalancer('least-connections')
    const nodes = [view(1), view(2)]
    const load = new LoadTable()
    const counts = [0, 0, 0]
    const open: number[] = []
    for (let i = 0; i < 400; i++) {
      const { index } = balancer.pick(nodes, load, 0)
      counts[index] = (counts[index] ?? 0) + 1
      load.start(index)
      open.push(index)
      // for a while node 2 answers nothing
      const done = open.findIndex((busy) => i >= 60 || busy === 1)
      if (open.length > 8 && done >= 0) load.finish(open.splice(done, 1)[0] ?? 0, 1)
    }
    expect(Math.abs((counts[1] ?? 0) - (counts[2] ?? 0))).toBeLessThan(8)
  })
})

describe.each(['least-connections', 'round-robin'] as const)(
  '%s among sessions that stay',
  (name) => {
    it('sends one away when a node had too many turns, and not all that ask then', () => {
      const nodes = [view(1), view(2)]
      const [crowded, free] = nodes as [NodeView, NodeView]
      const balancer = createBalancer(name, seeded(7))
      const stay = (turns: number): void => {
        for (let i = 0; i < turns; i++) balancer.stayed?.(crowded, nodes)
      }
      expect(balancer.wantsAway(crowded)).toBe(false)
      stay(40)
      expect(balancer.wantsAway(free)).toBe(false)
      expect(balancer.wantsAway(crowded)).toBe(true)
      expect(balancer.wantsAway(crowded)).toBe(false)
      // It was not enough.
      stay(40)
      expect(balancer.wantsAway(crowded)).toBe(true)
    })
  },
)

describe('round robin', () => {
  it('spreads a heavy node’s turns instead of bunching them', () => {
    const nodes = [view(1, { weight: 5 }), view(2), view(3)]
    const balancer = createBalancer('round-robin')
    const turns = Array.from({ length: 7 }, () => balancer.pick(nodes, new LoadTable(), 0).id)
    expect(turns.join(' ')).toBe('r1 r1 r2 r1 r3 r1 r1')
  })
})

describe('ip hash', () => {
  const nodes = [1, 2, 3, 4].map((index) => view(index))
  const balancer = createBalancer('ip-hash')
  const load = new LoadTable()

  it('gives a client the same node whatever the order and load', () => {
    fc.assert(
      fc.property(fc.integer(), fc.shuffledSubarray(nodes, { minLength: 4 }), (key, order) => {
        expect(balancer.pick(order, load, key)).toBe(balancer.pick(nodes, load, key))
      }),
    )
  })

  it('moves only the clients of a node that goes', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: 3 }), (key, gone) => {
        const before = balancer.pick(nodes, load, key)
        const left = nodes.filter((_, i) => i !== gone)
        if (before !== nodes[gone]) expect(balancer.pick(left, load, key)).toBe(before)
      }),
    )
  })
})

describe('latency', () => {
  it('avoids the slow node and tries it again when the peak is old', () => {
    let nowMs = 0
    const load = new LoadTable({ decayMs: 1000, nowMs: () => nowMs })
    const nodes = [view(1), view(2)]
    load.finish(1, 100)
    load.finish(2, 5)
    const balancer = createBalancer('latency', seeded(1))
    expect(shares(balancer, nodes, 100, load).get('r2')).toBe(1)
    nowMs = 20_000
    load.finish(2, 5)
    expect(shares(balancer, nodes, 100, load).get('r1')).toBe(1)
  })

  it('counts what waits there already', () => {
    const load = new LoadTable({ nowMs: () => 0 })
    load.finish(1, 10)
    load.finish(2, 15)
    load.inFlight[1] = 4
    const balancer = createBalancer('latency', seeded(1))
    expect(balancer.pick([view(1), view(2)], load, 0).id).toBe('r2')
  })

  it('does not pile everything onto a node that has not answered yet', () => {
    const load = new LoadTable({ nowMs: () => 0 })
    load.finish(2, 15)
    load.start(1)
    const balancer = createBalancer('latency', seeded(1))
    expect(balancer.pick([view(1), view(2)], load, 0).id).toBe('r2')
  })
})
