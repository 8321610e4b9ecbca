/**
 * Who fills the nodes' pools keeps out nobody but those who need just what he holds: nobody waits who
 * needn't, writes and log-ins get through, and 53300 comes only where all that could serve is taken.
 *
 * One table of cases. That nobody waits is no matter of time here: requests come back while those who
 * hold the connections still hold them, by the servers' own word, and could have waited for a minute.
 */
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { query } from '../../src/wire/frontend-messages.ts'
import { type ServerCluster, type ServerNode, startServers, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

/** `reserve` leaves one of them to writes, and two to clients that are not pinned. */
const size = 4
const mostReads = 3

type NodeName = 'primary' | 'r1' | 'r2'
type Filled = Readonly<Record<NodeName, number>>

let cluster: ServerCluster
/** Gives a request a minute for its connection. */
let patient: TestProxy
/** Gives it a moment, for those that get none. */
let hasty: TestProxy

/** Who holds a server connection until he is ended. */
interface Holder {
  readonly name: string
  end(): Promise<void>
}

type Open = (proxy: TestProxy, name: string) => Promise<Holder>

/** Runs `sql`, and holds what comes of it. `isLong`: it runs on. */
function clientThat(sql: readonly string[], isLong = false): Open {
  return async (proxy, name) => {
    const client = await proxy.client({}, { application_name: name })
    for (const text of sql) {
      const running = client.query(text)
      if (isLong) running.catch(() => {})
      else await running
    }
    return { name, end: () => client.end().catch(() => {}) }
  }
}

const idleReadOnly = clientThat(['BEGIN READ ONLY', 'SELECT count(*) FROM item'])
const idleInTransaction = clientThat(['BEGIN', 'SELECT count(*) FROM item'])
/** Reads of `locked` wait on every node: a standby has the exclusive locks of its primary, too. */
let locker: pg.Client
const longRead = clientThat(['SELECT count(*) FROM locked'], true)
const listener = clientThat(['LISTEN news'])
const slowReader: Open = async (proxy, name) => {
  const reader = await proxy.raw({}, { application_name: name })
  reader.freeze()
  reader.send(query("SELECT repeat('x', 1000000) FROM item a, item b, item c"))
  return { name, end: async () => reader.end() }
}

/** Which of a cell's requests get through, and where they run; null: 53300. */
interface Expected {
  readonly read: readonly NodeName[] | null
  readonly write: 'primary' | null
}

interface Cell {
  readonly holders: string
  readonly situation: string
  /** Who is where, in this order. */
  readonly filled: readonly (readonly [Open, Partial<Filled>])[]
  readonly expected: Expected
  /** What DETAIL says of those in the way. */
  readonly detail?: RegExp
}

/** Holders that read: they fill replicas, and of the primary what reads may have. */
function readers(holders: string, open: Open, detail: RegExp): Cell[] {
  return [
    {
      holders,
      situation: 'another replica is free',
      filled: [[open, { r1: size }]],
      expected: { read: ['r2'], write: 'primary' },
    },
    {
      holders,
      situation: 'only the primary is free',
      filled: [[open, { r1: size, r2: size }]],
      expected: { read: ['primary'], write: 'primary' },
    },
    {
      holders,
      situation: 'all that reads may have is taken',
      filled: [[open, { r1: size, r2: size, primary: mostReads }]],
      expected: { read: null, write: 'primary' },
      detail,
    },
  ]
}

const cells: readonly Cell[] = [
  ...readers(
    'idle READ ONLY transactions',
    idleReadOnly,
    /r1: 4 of 4 in use: 4 idle in READ ONLY transaction \(up to [\d.]+ m?s\).*kept for writes/,
  ),
  ...readers(
    'slow readers',
    slowReader,
    /r1: 4 of 4 in use: .*(read slowly|running).*kept for writes/,
  ),
  ...readers(
    'long reads',
    longRead,
    /r1: 4 of 4 in use: 4 running \(up to [\d.]+ m?s\).*kept for writes/,
  ),
  {
    holders: 'listeners',
    situation: 'there are more of them than connections',
    filled: [],
    expected: { read: ['r1', 'r2'], write: 'primary' },
  },
  {
    holders: 'transactions that are idle',
    situation: 'another replica is free',
    filled: [
      [idleReadOnly, { r1: size }],
      [idleInTransaction, { primary: size }],
    ],
    expected: { read: ['r2'], write: null },
    detail: /primary: 4 of 4 in use: 4 idle in transaction \(up to [\d.]+ m?s\)/,
  },
  {
    holders: 'transactions that are idle',
    situation: 'only the primary is free',
    filled: [
      [idleReadOnly, { r1: size, r2: size }],
      [idleInTransaction, { primary: size - 1 }],
    ],
    expected: { read: ['primary'], write: 'primary' },
  },
  {
    holders: 'transactions that are idle',
    situation: 'all is taken',
    filled: [
      [idleReadOnly, { r1: size, r2: size }],
      [idleInTransaction, { primary: size }],
    ],
    expected: { read: null, write: null },
    detail: /primary: 4 of 4 in use: 4 idle in transaction/,
  },
]

const nodeNames: readonly NodeName[] = ['primary', 'r1', 'r2']
const nodeOf = (name: NodeName): ServerNode => cluster.nodes[nodeNames.indexOf(name)] as ServerNode

/** Application names of the clients that a node works for, or that are in a transaction there. */
async function held(name: NodeName): Promise<string[]> {
  const rows = await nodeOf(name).query(
    `SELECT application_name AS name FROM pg_stat_activity
     WHERE datname = 'shop' AND application_name LIKE 'holder-%' AND state <> 'idle'`,
    [],
    'template1',
  )
  return rows.map((row) => String(row.name)).sort()
}

async function placeOf(holder: Holder): Promise<NodeName> {
  return waitFor(`${holder.name} on a node`, async () => {
    for (const name of nodeNames) if ((await held(name)).includes(holder.name)) return name
    return null
  })
}

let nextHolder = 1
let holders: Holder[] = []

/** Opens holders until so many are where they are wanted; those that came elsewhere are ended. */
async function fill(proxy: TestProxy, open: Open, wanted: Partial<Filled>): Promise<void> {
  const missing = { primary: 0, r1: 0, r2: 0, ...wanted }
  const elsewhere: Holder[] = []
  while (nodeNames.some((name) => missing[name] > 0)) {
    const holder = await open(proxy, `holder-${nextHolder++}`)
    const place = await placeOf(holder)
    if (missing[place] > 0) {
      missing[place]--
      holders.push(holder)
    } else elsewhere.push(holder)
  }
  for (const holder of elsewhere) await holder.end()
  const names = new Set(elsewhere.map(({ name }) => name))
  await waitFor('those elsewhere to go', async () => {
    const all = await Promise.all(nodeNames.map(held))
    return !all.flat().some((name) => names.has(name))
  })
}

/** Where the last statement of that client ran, by the nodes' own word. */
async function ranOn(client: string, like: string): Promise<NodeName[]> {
  const found: NodeName[] = []
  for (const name of nodeNames) {
    const rows = await nodeOf(name).query(
      `SELECT 1 AS one FROM pg_stat_activity
       WHERE datname = 'shop' AND application_name = $1 AND query LIKE $2`,
      [client, like],
      'template1',
    )
    if (rows.length > 0) found.push(name)
  }
  return found
}

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(
    `CREATE TABLE item AS SELECT generate_series(1, 100) AS id;
     CREATE TABLE locked ()`,
    [],
    'shop',
  )
  await cluster.catchUp()
  locker = new pg.Client({ connectionString: cluster.primary.urlFor('shop') })
  await locker.connect()
  await locker.query('BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE')
  for (const node of cluster.replicas) {
    await waitFor('the lock on a replica', async () => {
      // What a commit flushes.
      await cluster.primary.query('UPDATE item SET id = id WHERE id = 2', [], 'shop')
      const sql = "SELECT 1 AS one FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
      return (await node.query(sql, [], 'template1')).length > 0
    })
  }
  patient = await startTestProxy(cluster, { pool: { size, checkoutTimeout: '60s' } })
  hasty = await startTestProxy(cluster, { pool: { size, checkoutTimeout: '300ms' } })
  for (const proxy of [patient, hasty]) {
    await proxy.with(async (client) => {
      await waitFor('reads to be proved', async () => {
        await client.query('SELECT count(*) FROM item WHERE id < 0')
        const { rows } = await client.query('SHOW pgsplit.last_route')
        return String(rows[0]?.['pgsplit.last_route']).startsWith('r')
      })
    })
  }
})
afterAll(async () => {
  await patient?.stop()
  await hasty?.stop()
  await locker?.end()
  await cluster?.stop()
})

const requests = ['read', 'write', 'log-in', 'admin'] as const
let nextProbe = 1

describe.each(cells)(
  'with $holders, while $situation,',
  ({ holders: kind, filled, expected, detail }) => {
    // Where something is refused, it is to be so at once.
    const proxy = (): TestProxy =>
      expected.read === null || expected.write === null ? hasty : patient
    let before: readonly string[][] = []
    let probe: pg.Client
    let name = ''

    beforeAll(async () => {
      name = `probe-${nextProbe++}`
      // It has been here before: what is asked at a log-in is not in question, but for the log-in.
      probe = await proxy().client({}, { application_name: name })
      for (const [open, wanted] of filled) await fill(proxy(), open, wanted)
      if (kind === 'listeners') {
        for (let i = 0; i < 3 * size; i++) {
          holders.push(await listener(proxy(), `holder-${nextHolder++}`))
        }
      }
      before = await Promise.all(nodeNames.map(held))
    })
    afterAll(async () => {
      await probe?.end()
      for (const holder of holders) await holder.end()
      holders = []
      await waitFor(
        'the pools to be free',
        async () => (await Promise.all(nodeNames.map(held))).flat().length === 0,
      )
    })
    afterEach(async () => {
      // Nothing has waited for any of them to go.
      expect(await Promise.all(nodeNames.map(held))).toEqual(before)
    })

    it.each(requests)('a %s gets what is free', async (request) => {
      switch (request) {
        case 'read': {
          const asked = probe.query('SELECT count(*) FROM item WHERE id > 1')
          if (expected.read === null) await refused(asked)
          else {
            await asked
            const [place, ...others] = await ranOn(name, 'SELECT count(*) FROM item WHERE id > 1')
            expect(others).toEqual([])
            expect(expected.read).toContain(place)
          }
          break
        }
        case 'write': {
          const asked = probe.query('UPDATE item SET id = id WHERE id = 1')
          if (expected.write === null) await refused(asked)
          else {
            await asked
            expect(await ranOn(name, 'UPDATE item%')).toEqual(['primary'])
          }
          break
        }
        case 'log-in': {
          // With settings that nobody has come with yet: what they report has to be asked.
          const options = `-c statement_timeout=${10_000 + nextProbe * 10}`
          const client = await proxy().client({}, { options })
          await client.end()
          break
        }
        case 'admin': {
          const admin = await proxy().client({ database: 'pgsplit' })
          const { rows } = await admin.query('SHOW POOLS')
          expect(rows.length).toBeGreaterThan(0)
          await admin.end()
          break
        }
        default:
          request satisfies never
      }
    })

    async function refused(asked: Promise<unknown>): Promise<void> {
      const error = await asked.then(
        () => null,
        (reason: unknown) => reason,
      )
      expect(error).toMatchObject({ code: '53300', severity: 'ERROR' })
      expect((error as { detail?: string }).detail).toMatch(detail ?? /in use/)
    }
  },
)

describe('clients that are pinned', () => {
  afterAll(async () => {
    for (const holder of holders) await holder.end()
    holders = []
  })

  it('leave connections to the others, and who is one too many hears who they are', async () => {
    const kinds = [
      ['CREATE TEMP TABLE mine ()', 'temporary objects'],
      ['SELECT pg_advisory_lock(7)', 'session advisory lock'],
    ] as const
    const pinned: pg.Client[] = []
    try {
      for (const [sql] of kinds) {
        const client = await hasty.client()
        pinned.push(client)
        await client.query(sql)
        await waitFor('the pin to be sure', async () => {
          const { rows } = await client.query('SHOW pgsplit.pin')
          return String(rows[0]?.['pgsplit.pin']).length > 0
        })
      }
      const further = await hasty.client()
      pinned.push(further)
      for (const [sql] of kinds) {
        const error = await further.query(sql).catch((reason: unknown) => reason)
        expect(error).toMatchObject({ code: '53300' })
        const { detail } = error as { detail?: string }
        for (const [, what] of kinds) expect(detail).toContain(`1 pinned by ${what}`)
        expect(detail).toContain('kept for clients that are not pinned')
      }
      // All others have what they need, in any number.
      const others = await Promise.all(Array.from({ length: 8 }, () => hasty.client()))
      pinned.push(...others)
      await Promise.all(others.map((one) => one.query('UPDATE item SET id = id WHERE id = 3')))
      await Promise.all(others.map((one) => one.query('SELECT count(*) FROM item WHERE id > 1')))
      // One that is pinned goes, and there is room for another.
      await pinned.shift()?.end()
      await waitFor('room', async () => {
        const error = await further.query('SELECT pg_advisory_lock(8)').catch((reason) => reason)
        return (error as { code?: string }).code !== '53300'
      })
    } finally {
      for (const client of pinned) await client.end()
    }
  })
})

describe('reads that have to wait', () => {
  afterAll(async () => {
    for (const holder of holders) await holder.end()
    holders = []
  })

  it('wait in all pools at once, and are served in order by whichever has room first', async () => {
    const clients: pg.Client[] = []
    for (let i = 0; i < 5; i++) clients.push(await patient.client())
    await fill(patient, idleReadOnly, { r1: size, r2: size, primary: mostReads })
    const done: number[] = []
    const asked = clients.map(async (client, i) => {
      await client.query('SELECT count(*) FROM item WHERE id < 0')
      done.push(i)
    })
    const waiting = () => Promise.all(nodeNames.map((node) => waitingAt(patient, node)))
    await waitFor('all to wait everywhere', async () => (await waiting()).every((n) => n === 5))
    // A write doesn't wait behind them.
    await patient.with((client) => client.query('UPDATE item SET id = id WHERE id = 1'))
    expect(done).toEqual([])
    // What one gives back serves the next.
    const [last] = await held('r2')
    await holders.find(({ name }) => name === last)?.end()
    await Promise.all(asked)
    expect(done).toEqual([0, 1, 2, 3, 4])
    expect(await waiting()).toEqual([0, 0, 0])
    for (const client of clients) await client.end()
  })
})

/** How many requests wait for a connection to the node. */
async function waitingAt(proxy: TestProxy, node: NodeName): Promise<number> {
  return proxy.with(
    async (admin) => {
      const { rows } = await admin.query('SHOW POOLS')
      const here = rows.filter((row) => row.node === node && row.database === 'shop')
      return here.reduce((sum, row) => sum + Number(row.cl_waiting), 0)
    },
    { database: 'pgsplit' },
  )
}
