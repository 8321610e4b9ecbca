import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Consistency, parseConsistency, seesOthers } from '../../src/consistency.ts'
import { createSessions } from '../../src/drizzle/index.ts'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { History, type Register, registers } from '../support/history.ts'
import { type OpenClient, proxyClients, sessionClients } from '../support/history-client.ts'
import { type HistoryRun, HistorySession, lazyWrite } from '../support/history-session.ts'
import { lostUpdates, raiseCounters } from '../support/lost-updates.ts'
import { Nemesis } from '../support/nemesis.ts'
import { startProxyWith, type TestProxy } from '../support/proxy.ts'
import { seededNumbers } from '../support/seeded-numbers.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { waitFor } from '../support/wait-for.ts'

/** The full run: `PGSPLIT_HISTORY_OPERATIONS=200000`. Without it every trouble comes once. */
const operations = Number(process.env.PGSPLIT_HISTORY_OPERATIONS ?? 0)
const seed = Number(process.env.PGSPLIT_HISTORY_SEED ?? 20261122)
/** `proxy`, `sessions` (onto the nodes), `proxied` sessions, or all doors to the same cluster. */
const doorNames = process.env.PGSPLIT_HISTORY_DOORS ?? 'all'
/** What is promised: `session`, or more. */
const level = parseConsistency(process.env.PGSPLIT_HISTORY_LEVEL ?? 'session') ?? 'session'
const longestMs = operations > 0 ? 1_500_000 : 90_000
const clients = 32

let cluster: ServerCluster
const proxies: TestProxy[] = []
let sessions: ReturnType<typeof createSessions>
/** Sessions over the first proxy. */
let proxied: ReturnType<typeof createSessions>
const relays: Map<string, TcpRelay>[] = []

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(
    `CREATE TABLE reg (k int PRIMARY KEY, v int NOT NULL, id int NOT NULL);
     CREATE TABLE log (id int, k int, v int);
     CREATE TABLE counter (k int PRIMARY KEY, v int NOT NULL);
     INSERT INTO reg SELECT k, 0, 0 FROM generate_series(0, ${registers - 1}) k; ${lazyWrite}`,
    [],
    'shop',
  )
  await cluster.catchUp()
  // Whoever is promoted has what was acknowledged: losing it otherwise is PostgreSQL's own matter.
  const names = cluster.nodes.map(({ name }) => name).join(', ')
  for (const node of cluster.nodes) {
    await node.configure({ synchronous_standby_names: `ANY 1 (${names})` })
  }
  for (let i = 0; i < 2; i++) {
    proxies.push(
      await startProxyWith(cluster, {
        ...proxyOptions,
        clusters: { main: await nodesBehindRelays() },
      }),
    )
  }
  sessions = createSessions(await nodesBehindRelays())
  proxied = createSessions({ proxy: `${proxies[0]?.url()}`, pool: { size: 20 } })
  await Promise.all([sessions.ready, proxied.ready])
})

afterAll(async () => {
  await proxied?.close()
  for (const proxy of proxies) await proxy.stop()
  await sessions?.close()
  for (const relay of relays.flatMap((each) => [...each.values()])) relay.stop()
  await cluster?.stop()
})

const proxyOptions = { listen: ['127.0.0.1:0'], log: { level: 'silent' } }

/** The nodes for one more instance of pgsplit, each through a relay of its own. */
async function nodesBehindRelays() {
  const own = new Map<string, TcpRelay>()
  relays.push(own)
  for (const { name, port } of cluster.nodes) own.set(name, await TcpRelay.start(port))
  const entry = (node: ServerCluster['primary']) => ({
    url: node.urlFor('shop').replace(`:${node.port}/`, `:${own.get(node.name)?.port}/`),
    name: node.name,
  })
  return {
    primary: entry(cluster.primary),
    replicas: cluster.replicas.map(entry),
    monitor: { database: 'postgres', probeInterval: '200ms', probeTimeout: '500ms' },
    routing: {
      ...{ slowStart: '0', failTimeout: '1s', readTimeout: '700ms' },
      // Its transactions begin with a read or with a write.
      ...(process.env.PGSPLIT_TRANSACTIONS === 'optimistic' && {
        transactions: 'optimistic' as const,
      }),
    },
    pool: { size: 20 },
  }
}

/** Where the clients go. */
function doors(level: Consistency): readonly OpenClient[] {
  const [first, second] = proxies.map((proxy) => proxyClients(proxy.url()))
  const own = sessionClients(sessions)
  if (first === undefined || second === undefined) throw new Error('there are two proxies')
  // What one instance knows of its own sessions.
  if (level === 'shared') return [first, sessionClients(proxied)]
  if (doorNames === 'proxy') return [first, second]
  const over = sessionClients(proxied)
  if (doorNames === 'proxied') return [over]
  return doorNames === 'sessions' ? [own] : [first, second, own, over]
}

async function run(
  consistency: HistoryRun['consistency'],
  disturb: (going: HistoryRun) => Promise<void>,
  { isLazy = false, held = consistency }: { isLazy?: boolean; held?: Consistency } = {},
): Promise<HistoryRun> {
  let isOver = false
  const current: HistoryRun = {
    history: new History(),
    consistency,
    isLazy,
    seesAll: seesOthers(held),
    doors: doors(consistency),
    tokens: [],
    isOver: () => isOver,
    refused: new Map(),
    operations: 0,
    disconnected: 0,
    handedOver: 0,
  }
  await cluster.primary.query('TRUNCATE log; UPDATE reg SET v = 0, id = 0', [], 'shop')
  await cluster.catchUp()
  const clientsOf = Array.from(
    { length: clients },
    (_, i) => new HistorySession(current, seededNumbers(seed + i)),
  )
  const working = Promise.all(clientsOf.map((session) => session.work()))
  try {
    await disturb(current)
  } finally {
    isOver = true
    const late = AbortSignal.timeout(30_000)
    await Promise.race([
      working,
      new Promise((_, reject) => {
        late.onabort = () => {
          const doing = clientsOf
            .map((session) => session.doing)
            .filter((what) => what !== 'nothing')
          reject(new Error(`sessions hang: ${doing.join('; ')}`))
        }
      }),
    ])
  }
  return current
}

async function audit({ history }: HistoryRun): Promise<string[]> {
  await cluster.catchUp()
  const log = await cluster.primary.query('SELECT k, v, id FROM log', [], 'shop')
  const reg = await cluster.primary.query('SELECT k, v, id FROM reg', [], 'shop')
  return history.audit(log as unknown as Register[], reg as unknown as Register[])
}

function counters() {
  return proxies.flatMap(({ proxy }) => proxy.clusters.map((each) => each.counters))
}

/** Reads outside transactions that the in-process door has sent. */
function ownReads(isReplica: boolean): number {
  const { nodes } = sessions.snapshot()
  return nodes.reduce(
    (sum, { role, reads }) => sum + (isReplica && role !== 'replica' ? 0 : reads),
    0,
  )
}

/** Reads outside transactions that replicas answered. */
function replicaReads(): number {
  const onReplicas = counters().flatMap((each) => each.readsReplica)
  return onReplicas.reduce<number>((sum, count) => sum + (count ?? 0), ownReads(true))
}

function replicaShare(): number {
  return replicaReads() / counters().reduce((sum, each) => sum + each.reads, ownReads(false))
}

function report(
  { history, refused, ...run }: HistoryRun,
  since: number,
  log: readonly string[],
  faults: readonly string[],
): void {
  const seconds = Math.round((performance.now() - since) / 1000)
  console.log(
    `history: ${run.operations} operations in ${seconds} s, ${history.reads} reads checked, ` +
      `${history.count('acknowledged')} writes acknowledged, ${history.count('unknown')} unknown, ` +
      `${run.handedOver} tokens handed over, ${run.disconnected} disconnected, ` +
      `${Math.round(100 * replicaShare())} % of proved reads on replicas, ` +
      `${history.early.length} early sightings, ${history.violations.length} violations, ${faults.length} faults in the end; ` +
      `refused: ${JSON.stringify(Object.fromEntries(refused))}; troubles: ${log.length}; seed ${seed}`,
  )
  for (const one of history.early) console.log(`early: ${JSON.stringify(one)}`)
  if (history.violations.length > 0) {
    console.log(log.slice(-20).join('\n'))
    for (const one of history.violations.slice(0, 20)) console.log(JSON.stringify(one))
  }
}

it(
  'never shows a session less than it wrote, saw or was handed, whatever happens to the nodes',
  async () => {
    const since = performance.now()
    const nemesis = new Nemesis({
      cluster,
      relays,
      random: seededNumbers(seed),
      // What an instance that is cut off together with an old primary can't know (docs/behaviour/consistency.md, `strict`).
      except: level === 'strict' ? ['two primaries, one pgsplit knows only the old one'] : [],
      mostMs: operations > 0 ? 2_000 : 350,
    })
    const isLate = () => performance.now() - since > longestMs
    const current = await run(level, async (going) => {
      do await nemesis.pass(() => isLate() || (operations > 0 && going.operations > operations))
      while (!isLate() && going.operations < operations)
    })
    const faults = await audit(current)
    report(current, since, nemesis.log, faults)
    expect(current.history.violations.slice(0, 3)).toEqual([])
    expect(faults.slice(0, 3)).toEqual([])
    expect(current.operations).toBeGreaterThan(operations)
    expect(current.disconnected).toBe(0)
    // Without reads on replicas nothing would be shown.
    expect(replicaShare()).toBeGreaterThan(0.1)
  },
  longestMs + 120_000,
)

it('shows what was committed without waiting for the flush to its session from then on', async () => {
  const since = performance.now()
  const current = await run(
    'session',
    async (going) => {
      await waitFor('operations', () => going.operations > 3_000, 60_000)
    },
    { isLazy: true },
  )
  const faults = await audit(current)
  report(current, since, [], faults)
  expect(current.history.violations.slice(0, 3)).toEqual([])
  expect(faults.slice(0, 3)).toEqual([])
}, 120_000)

it('finds violations at consistency eventual, where replicas may lag: the check itself works', async () => {
  const current = await run('eventual', async ({ history }) => {
    const delay = { recovery_min_apply_delay: '200ms' }
    const [first] = cluster.replicas
    await first?.configure(delay)
    await waitFor('violations', () => history.violations.length > 20)
    await first?.configure({ recovery_min_apply_delay: '0' })
  })
  const kinds = new Set(current.history.violations.map(({ what }) => what.replace(/.*: /, '')))
  expect(kinds).toContain('older than what its session knew')
  expect(await audit(current)).toEqual([])
})

/** Replicas that are late, each by another time, while `work` runs. */
async function whileLate<R>(work: () => Promise<R>): Promise<R> {
  const [first, second] = cluster.replicas
  await first?.configure({ recovery_min_apply_delay: '5ms' })
  await second?.configure({ recovery_min_apply_delay: '100ms' })
  const result = await work()
  for (const replica of cluster.replicas) await replica.configure({ recovery_min_apply_delay: '0' })
  return result
}

/** The same while sessions of all doors write and read. */
function late(
  consistency: HistoryRun['consistency'],
  held: Consistency,
  until: (going: HistoryRun) => boolean,
): Promise<HistoryRun> {
  const working = (going: HistoryRun) => waitFor('operations', () => until(going), 60_000)
  const options = { isLazy: true, held }
  return whileLate(() => run(consistency, async (going) => void (await working(going)), options))
}

describe('real-time order', () => {
  it.each(['strict', 'shared'] as const)(
    'shows at %s every commit that was acknowledged to anybody before the read was sent',
    async (strong) => {
      const since = performance.now()
      const before = replicaReads()
      const current = await late(strong, strong, ({ operations }) => operations > 3_000)
      const faults = await audit(current)
      report(current, since, [], faults)
      expect(current.history.violations.slice(0, 3)).toEqual([])
      expect(faults).toEqual([])
      expect(replicaReads()).toBeGreaterThan(before)
    },
    120_000,
  )

  it('is not what session promises: the check itself works', async () => {
    const current = await late('session', 'strict', ({ history }) => history.violations.length > 20)
    expect(await audit(current)).toEqual([])
  }, 120_000)
})

describe('read-modify-write under a lock that the application holds', () => {
  /** Updates lost, beside how many there were. */
  async function raise(
    consistency: Consistency,
    isOver: Parameters<typeof raiseCounters>[0]['isOver'],
  ) {
    const counters = 20_000
    const fill = `TRUNCATE counter; INSERT INTO counter SELECT k, 0 FROM generate_series(0, ${counters}) k`
    await cluster.primary.query(fill, [], 'shop')
    await cluster.catchUp()
    const raised = await whileLate(() =>
      raiseCounters({
        doors: doors(consistency === 'session' ? 'shared' : consistency),
        consistency,
        clients: 12,
        randomOf: (client) => seededNumbers(seed + client),
        counters: 16,
        isOver,
      }),
    )
    const found = await cluster.primary.query('SELECT k, v FROM counter WHERE v > 0', [], 'shop')
    const lost = lostUpdates(raised, found as unknown as { k: number; v: number }[])
    console.log(
      `${consistency}: ${raised.operations} updates, ${lost} lost, ${raised.doubtful.size} in doubt`,
    )
    return { lost, operations: raised.operations }
  }

  it.each(['strict', 'shared'] as const)(
    'loses no update at %s',
    async (strong) => {
      const before = replicaReads()
      const { lost, operations: done } = await raise(
        strong,
        (count) => count >= Math.max(1_500, operations),
      )
      expect(lost).toBe(0)
      expect(done).toBeGreaterThan(0)
      expect(replicaReads()).toBeGreaterThan(before)
    },
    longestMs + 60_000,
  )

  it('loses some at session: the check itself works', async () => {
    const since = performance.now()
    const isLate = () => performance.now() - since > 60_000
    const { lost } = await raise('session', (_, stale) => stale > 2 || isLate())
    expect(lost).toBeGreaterThan(0)
  }, 120_000)
})
