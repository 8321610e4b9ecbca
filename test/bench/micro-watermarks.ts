/**
 * How many reads of a 90/10 workload go to the primary because their session's own writes are not on
 * a replica yet, and how long reads take: `node test/bench/micro-watermarks.ts [seconds]`. 16
 * sessions; two healthy replicas, back to back and with 10 ms of thought on average, then two that
 * replay 300 ms late; each with `routing.causalWait` at 0 and at its default. The servers are asked
 * who ran what.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { startCluster, transactionsPerNode } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { seededNumbers } from '../support/seeded-numbers.ts'

const seconds = Number(process.argv[2] ?? 8)
const sessions = 16
const items = 10_000

interface Work {
  readonly latenciesMs: number[]
  readonly writes: number
}

async function work(proxy: TestProxy, thinkMs: number, forMs: number): Promise<Work> {
  const latenciesMs: number[] = []
  let writes = 0
  const untilMs = performance.now() + forMs
  await Promise.all(
    Array.from({ length: sessions }, (_, i) =>
      proxy.with(async (client) => {
        const random = seededNumbers(i + 1)
        while (performance.now() < untilMs) {
          const values = [1 + random(items)]
          if (random(10) === 0) {
            const text = 'UPDATE item SET v = v + 1 WHERE id = $1'
            await client.query({ name: 'write', text, values })
            writes++
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
  return { latenciesMs, writes }
}

const cluster = await startCluster({ database: 'shop' })

async function primaryCommits(): Promise<number> {
  const nodes = await transactionsPerNode(cluster)
  return nodes.find(({ node }) => node === cluster.primary.name)?.commits ?? 0
}

async function measure(title: string, thinkMs: number, causalWait: string): Promise<void> {
  const proxy = await startTestProxy(cluster, { routing: { causalWait } })
  await work(proxy, thinkMs, 1_000)
  const before = await primaryCommits()
  const { latenciesMs, writes } = await work(proxy, thinkMs, seconds * 1_000)
  await proxy.stop()
  const reads = latenciesMs.length
  // The log-ins of server connections and reading the catalog count too: a few dozen.
  const share = ((await primaryCommits()) - before - writes) / reads
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.floor(sorted.length * part)]?.toFixed(2)
  const all = latenciesMs.reduce((sum, each) => sum + each, 0)
  console.log(
    `| ${title} | ${causalWait} | ${reads} | ${(100 * share).toFixed(2)} % | ` +
      `${(all / reads).toFixed(2)} | ${at(0.5)} | ${at(0.99)} |`,
  )
}

try {
  await cluster.primary.query(
    `CREATE TABLE item (id int PRIMARY KEY, v int);
     INSERT INTO item SELECT g, 0 FROM generate_series(1, ${items}) g`,
    [],
    'shop',
  )
  await cluster.catchUp()
  console.log('| clients | causalWait | reads | on the primary | mean ms | p50 ms | p99 ms |')
  console.log('|---|---|---|---|---|---|---|')
  for (const thinkMs of [0, 10]) {
    for (const causalWait of ['0', '20ms']) {
      await measure(thinkMs === 0 ? 'never pause' : 'pause for 10 ms', thinkMs, causalWait)
    }
  }
  for (const replica of cluster.replicas) {
    await replica.configure({ recovery_min_apply_delay: '300ms' })
  }
  for (const causalWait of ['0', '20ms']) {
    await measure('pause for 10 ms, replicas 300 ms late', 10, causalWait)
  }
} finally {
  await cluster.stop()
}
