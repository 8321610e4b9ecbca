/**
 * How many reads of a 90/10 workload go to the primary because their session's own writes are not on
 * a replica yet: `node test/bench/micro-watermarks.ts [seconds]`. 16 sessions, two healthy replicas;
 * back to back and with 10 ms of thought on average, each with and without `routing.causalWait`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { startCluster } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { seededNumbers } from '../support/seeded-numbers.ts'

const seconds = Number(process.argv[2] ?? 8)
const sessions = 16
const items = 10_000

interface Work {
  readonly latenciesMs: number[]
  stop(): Promise<void>
}

function startWork(proxy: TestProxy, thinkMs: number): Work {
  let isOver = false
  const latenciesMs: number[] = []
  const working = Promise.all(
    Array.from({ length: sessions }, (_, i) =>
      proxy.with(async (client) => {
        const random = seededNumbers(i + 1)
        while (!isOver) {
          const values = [1 + random(items)]
          if (random(10) === 0) {
            const text = 'UPDATE item SET v = v + 1 WHERE id = $1'
            await client.query({ name: 'write', text, values })
          } else {
            const sinceMs = performance.now()
            await client.query({ name: 'read', text: 'SELECT v FROM item WHERE id = $1', values })
            latenciesMs.push(performance.now() - sinceMs)
          }
          if (thinkMs > 0) await sleep((thinkMs * (50 + random(101))) / 100)
        }
      }),
    ),
  )
  return {
    latenciesMs,
    stop: async () => {
      isOver = true
      await working
    },
  }
}

/** Reads so far, and how many of them replicas have answered. */
function counts({ proxy }: TestProxy): readonly [number, number] {
  const all = proxy.clusters.map(({ counters }) => counters)
  const onReplicas = all.flatMap(({ readsReplica }) => readsReplica)
  return [
    all.reduce((sum, { reads }) => sum + reads, 0),
    onReplicas.reduce((sum, count) => sum + (count ?? 0), 0),
  ]
}

const cluster = await startCluster({ database: 'shop' })
try {
  await cluster.primary.query(
    `CREATE TABLE item (id int PRIMARY KEY, v int);
     INSERT INTO item SELECT g, 0 FROM generate_series(1, ${items}) g`,
    [],
    'shop',
  )
  await cluster.catchUp()
  for (const thinkMs of [0, 10]) {
    for (const causalWait of ['0', '20ms']) {
      const proxy = await startTestProxy(cluster, { routing: { causalWait } })
      const work = startWork(proxy, thinkMs)
      await sleep(1_000)
      const [readsBefore, onReplicasBefore] = counts(proxy)
      work.latenciesMs.length = 0
      await sleep(seconds * 1_000)
      const [readsAfter, onReplicasAfter] = counts(proxy)
      const sorted = work.latenciesMs.toSorted((a, b) => a - b)
      await work.stop()
      await proxy.stop()
      const reads = readsAfter - readsBefore
      const share = (reads - (onReplicasAfter - onReplicasBefore)) / reads
      const at = (part: number) => sorted[Math.floor(sorted.length * part)]?.toFixed(1)
      console.log(
        `${thinkMs} ms of thought, causalWait ${causalWait}: ${reads} reads, ` +
          `${(100 * share).toFixed(2)} % on the primary; ` +
          `a read takes ${at(0.5)} ms, one in 20 over ${at(0.95)} ms`,
      )
    }
  }
} finally {
  await cluster.stop()
}
