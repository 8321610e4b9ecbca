/**
 * What a routing decision costs: `node test/bench/micro-routing.ts`. Prints ns per route() for
 * each balancer in the common case, and for the rarer paths with the default balancer.
 */
import type { BalancerName } from '../../src/routing/balancers/balancer.ts'
import { createBalancer } from '../../src/routing/balancers/create-balancer.ts'
import { LoadTable } from '../../src/routing/load.ts'
import { initialFacts, type SessionFacts } from '../../src/routing/requirement.ts'
import { Router } from '../../src/routing/router.ts'
import { classOf, snapshotOf, view } from '../unit/routing/fixtures.ts'

const ROUTES = 1_000_000
const ROUNDS = 5

const READS = Array.from({ length: 16 }, () => classOf('replica'))
const WRITES = Array.from({ length: 16 }, () => classOf('primary'))
const SNAPSHOT = snapshotOf([view(0), view(1), view(2)])

function measure(name: BalancerName, classes: typeof READS, sessions: SessionFacts[]): number {
  const load = new LoadTable()
  const router = new Router({ balancer: createBalancer(name), load })
  let best = Number.POSITIVE_INFINITY
  let nodes = 0
  for (let round = 0; round < ROUNDS; round++) {
    const begin = process.hrtime.bigint()
    for (let i = 0; i < ROUTES; i++) {
      const cls = classes[i & 15]
      const facts = sessions[i & 15]
      if (cls === undefined || facts === undefined) continue
      const { node } = router.route(cls, facts, SNAPSHOT)
      if (node === null) continue
      nodes += node.index
      // Sixteen requests in flight, as with as many busy clients.
      if (i >= 16) load.finish(node.index, 0.5)
      load.start(node.index)
    }
    best = Math.min(best, Number(process.hrtime.bigint() - begin) / ROUTES)
  }
  if (nodes < 0) throw new Error('unreachable')
  return best
}

function sessions(given: (i: number) => Partial<SessionFacts> = () => ({})): SessionFacts[] {
  return Array.from({ length: 16 }, (_, i) =>
    initialFacts({ clientAddressHash: Math.imul(i, 0x9e3779b1), ...given(i) }),
  )
}

function print(what: string, ns: number): void {
  process.stdout.write(`${what.padEnd(44)} ${ns.toFixed(0).padStart(6)} ns\n`)
}

const names = [
  'least-connections',
  'round-robin',
  'weighted-random',
  'ip-hash',
  'latency',
] as const satisfies readonly BalancerName[]
for (const name of names) print(`plain read, ${name}`, measure(name, READS, sessions()))
const some = 'least-connections'
print('write', measure(some, WRITES, sessions()))
const reached = sessions((i) => ({ watermark: { timeline: 1, lsn: BigInt(900 + i) } }))
print('read, watermark reached by all', measure(some, READS, reached))
const ahead = sessions((i) => ({ watermark: { timeline: 1, lsn: BigInt(2000 + i) } }))
print('read, watermark reached by none', measure(some, READS, ahead))
const staying = sessions((i) => ({ reader: 1 + (i & 1), readEpoch: 1 }))
print('read, stays at its replica', measure(some, READS, staying))
const strict = sessions(() => ({ maxLagMs: 500 }))
print('read with its own maxLag', measure(some, READS, strict))
