import net from 'node:net'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cancelRequest } from '../../src/wire/frontend-messages.ts'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

const clientCount = 24
const rounds = 60

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(
    `CREATE TABLE item (id int PRIMARY KEY, name text);
     INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 1000) i;
     CREATE TABLE counter (id int PRIMARY KEY, n int);
     INSERT INTO counter SELECT i, 0 FROM generate_series(0, 99) i`,
    [],
    'shop',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 3 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** Numbers that are the same in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return (state >>> 8) % below
  }
}

const code = async (running: Promise<unknown>): Promise<string> =>
  running.then(
    () => 'none',
    (error: { code?: string }) => error.code ?? String(error),
  )

function cancel(db: pg.Client): Promise<void> {
  const { processID, secretKey } = db as unknown as { processID: number; secretKey: number }
  const key = Buffer.alloc(4)
  key.writeInt32BE(secretKey)
  return new Promise((resolve) => {
    const socket = net.connect(proxy.port, '127.0.0.1', () => {
      socket.write(cancelRequest(processID, key))
    })
    socket.on('error', () => resolve())
    socket.on('close', () => resolve())
    socket.resume()
  })
}

/** One thing that a client does, which must answer what it would on a server of its own. */
type Deed = (db: pg.Client, me: number, random: (below: number) => number) => Promise<void>

const deeds: readonly Deed[] = [
  async (db, me, random) => {
    const id = 1 + random(1000)
    const { rows } = await db.query(`SELECT name, ${me} AS me FROM item WHERE id = ${id}`)
    expect(rows).toEqual([{ name: `item ${id}`, me }])
  },
  async (db, me, random) => {
    const id = 1 + random(1000)
    const { rows } = await db.query({
      name: `by-id-${me % 3}`,
      text: 'SELECT name, $2::int AS me FROM item WHERE id = $1',
      values: [id, me],
    })
    expect(rows).toEqual([{ name: `item ${id}`, me }])
  },
  async (db, _me, random) => {
    const n = random(2000)
    const { rows } = await db.query('SELECT i FROM generate_series(1, $1::int) i', [n])
    expect(rows.length).toBe(n)
  },
  async (db) => {
    expect(await code(db.query('SELECT 1 / (id - 1) FROM item WHERE id = 1'))).toBe('22012')
    expect(await code(db.query('SELECT no_column FROM item'))).toBe('42703')
    expect(await code(db.query({ name: 'bad', text: 'SELECT $1::int FROM', values: [1] }))).toBe(
      '42601',
    )
  },
  async (db, me) => {
    await db.query(`SET my.id = 'client ${me}'`)
    const { rows } = await db.query(
      "SELECT current_setting('my.id') AS own, count(*)::int AS n FROM item",
    )
    expect(rows).toEqual([{ own: `client ${me}`, n: 1000 }])
  },
  async (db, me) => {
    await db.query('BEGIN')
    await db.query('UPDATE counter SET n = n + 1 WHERE id = $1', [me])
    const inside = (await db.query('SELECT n FROM counter WHERE id = $1', [me])).rows[0].n
    await db.query('COMMIT')
    const after = (await db.query('SELECT n FROM counter WHERE id = $1', [me])).rows[0].n
    expect(after).toBe(inside)
  },
  async (db, me) => {
    await db.query('BEGIN')
    await db.query('UPDATE counter SET n = -1 WHERE id = $1', [me])
    expect(await code(db.query('SELECT 1/0'))).toBe('22012')
    await db.query('ROLLBACK')
    expect((await db.query('SELECT n >= 0 AS kept FROM counter WHERE id = $1', [me])).rows).toEqual(
      [{ kept: true }],
    )
  },
  async (db, me) => {
    // Its replica may be lost in mid-transaction: then the client is told, and starts again.
    await db.query('BEGIN READ ONLY')
    const told = await db.query(`SELECT ${me} AS me`).then(
      ({ rows }) => rows,
      (error) => error.code,
    )
    expect(['08006', [{ me }]]).toContainEqual(told)
    expect(['none', '08006']).toContain(await code(db.query('COMMIT')))
    await db.query('ROLLBACK')
  },
  async (db, me) => {
    const sleeping = code(db.query(`SELECT pg_sleep(0.05), ${me}`))
    await cancel(db)
    expect(['57014', 'none']).toContain(await sleeping)
    expect((await db.query(`SELECT ${me} AS me`)).rows).toEqual([{ me }])
  },
  async (db, me) => {
    const answers = await Promise.all(
      Array.from({ length: 5 }, (_none, i) => db.query(`SELECT ${me * 10 + i} AS n`)),
    )
    expect(answers.map(({ rows }) => rows[0].n)).toEqual([0, 1, 2, 3, 4].map((i) => me * 10 + i))
  },
]

describe('clients that share few server connections', () => {
  it('get their own answers, while they err, cancel, set and leave, and connections die', async () => {
    let isDone = false
    const terminating = (async () => {
      while (!isDone) {
        for (const node of cluster.replicas) {
          await node.query(
            `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
               WHERE datname = 'shop' AND backend_type = 'client backend' LIMIT 1) one`,
            [],
            'template1',
          )
        }
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    })()
    const played = Array.from({ length: clientCount }, async (_none, me) => {
      const random = numbers(me * 7919 + 1)
      let db = await proxy.client()
      for (let round = 0; round < rounds; round++) {
        const deed = deeds[random(deeds.length)] as Deed
        await deed(db, me, random)
        if (random(20) === 0) {
          // Sometimes in mid-answer.
          if (random(2) === 0) void code(db.query('SELECT pg_sleep(0.02), * FROM item'))
          await (random(2) === 0 ? db.end() : Promise.resolve(closeHard(db)))
          db = await proxy.client()
        }
      }
      await db.end()
    })
    try {
      await Promise.all(played)
    } finally {
      isDone = true
      await terminating
    }
    // READ ONLY blocks may lose their server; everything else must have come out right.
    const rows = await cluster.primary.query(
      'SELECT count(*)::int AS n FROM counter WHERE n < 0',
      [],
      'shop',
    )
    expect(rows).toEqual([{ n: 0 }])
  })
})

function closeHard(db: pg.Client): void {
  ;(db as unknown as { connection: { stream: net.Socket } }).connection.stream.destroy()
}
