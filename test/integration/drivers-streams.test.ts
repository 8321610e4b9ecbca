import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

/** What reads and writes in pieces beside `pg`: cursors, streams of rows, COPY both ways. */

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers()
  proxy = await startTestProxy(cluster, { pool: { size: 4 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** 10,000 rows, read piece by piece. */
const manyRows = 'SELECT g, md5(g::text) AS hash FROM generate_series(1, $1::int) AS g'

describe('pg-cursor', () => {
  it('reads outside a transaction, to the end and only in part', async () => {
    const client = await proxy.client()
    const whole = client.query(new Cursor(manyRows, [2_500]))
    const sizes: number[] = []
    for (let rows = await whole.read(1_000); rows.length > 0; rows = await whole.read(1_000)) {
      sizes.push(rows.length)
    }
    expect(sizes).toEqual([1_000, 1_000, 500])
    await whole.close()
    const part = client.query(new Cursor<{ g: number }>(manyRows, [1_000_000]))
    expect((await part.read(3)).map(({ g }) => g)).toEqual([1, 2, 3])
    await part.close()
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    await client.end()
  })

  it('reads in a transaction while the table changes, and says what is wrong', async () => {
    const client = await proxy.client()
    await client.query('CREATE TABLE of_cursor AS SELECT g FROM generate_series(1, 100) AS g')
    await client.query('BEGIN')
    const cursor = client.query(new Cursor('SELECT g FROM of_cursor ORDER BY g'))
    expect(await cursor.read(10)).toHaveLength(10)
    await cursor.close()
    await client.query('DELETE FROM of_cursor WHERE g > 50')
    const rest = client.query(new Cursor('SELECT g FROM of_cursor'))
    expect(await rest.read(1_000)).toHaveLength(50)
    await rest.close()
    await client.query('COMMIT')
    const wrong = client.query(new Cursor('SELECT 1 / (3 - g) FROM generate_series(1, 5) AS g'))
    await expect(wrong.read(10)).rejects.toMatchObject({ code: '22012' })
    expect((await client.query('SELECT count(*)::int AS n FROM of_cursor')).rows).toEqual([
      { n: 50 },
    ])
    await client.end()
  })

  it('reads with several clients at once, in turns', async () => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => proxy.client()))
    const counts = await Promise.all(
      clients.map(async (client, i) => {
        const cursor = client.query(new Cursor(manyRows, [1_000 + i]))
        let count = 0
        for (let rows = await cursor.read(77); rows.length > 0; rows = await cursor.read(77)) {
          count += rows.length
        }
        await cursor.close()
        return count
      }),
    )
    expect(counts).toEqual(clients.map((_, i) => 1_000 + i))
    await Promise.all(clients.map((client) => client.end()))
  })
})

describe('pg-query-stream', () => {
  it('streams rows from a pool, and stops when it is told to', async () => {
    const pool = new pg.Pool({ connectionString: proxy.url(), max: 3 })
    const streamed = await Promise.all(
      [10_000, 20, 3_000].map(async (count) => {
        const client = await pool.connect()
        let sum = 0
        for await (const { g } of client.query(new QueryStream(manyRows, [count]))) sum += g
        client.release()
        return sum
      }),
    )
    expect(streamed).toEqual([50_005_000, 210, 4_501_500])
    const client = await pool.connect()
    const stream = client.query(new QueryStream(manyRows, [1_000_000], { batchSize: 10 }))
    for await (const { g } of stream) if (g === 25) break
    expect((await client.query('SELECT 2 AS two')).rows).toEqual([{ two: 2 }])
    client.release()
    await pool.end()
  })
})

describe('pg-copy-streams', () => {
  it('copies in and out, much and nothing', async () => {
    const client = await proxy.client()
    await client.query('CREATE TABLE of_copy (id int PRIMARY KEY, name text)')
    const lines = Array.from({ length: 50_000 }, (_, i) => `${i}\t${'x'.repeat(i % 200)}\n`)
    await pipeline(Readable.from(lines), client.query(copyFrom('COPY of_copy FROM STDIN')))
    await pipeline(Readable.from([]), client.query(copyFrom('COPY of_copy FROM STDIN')))
    let out = ''
    const sorted = copyTo('COPY (SELECT * FROM of_copy ORDER BY id) TO STDOUT')
    for await (const chunk of client.query(sorted)) out += chunk
    expect(out === lines.join('')).toBe(true)
    const { rows } = await client.query('SELECT count(*)::int AS n FROM of_copy')
    expect(rows).toEqual([{ n: 50_000 }])
    await client.end()
  })

  it('breaks off on a bad line and when its source fails', async () => {
    const client = await proxy.client()
    await client.query('CREATE TABLE of_bad_copy (id int)')
    const bad = pipeline(
      Readable.from(['1\n', 'x\n', '3\n']),
      client.query(copyFrom('COPY of_bad_copy FROM STDIN')),
    )
    await expect(bad).rejects.toMatchObject({ code: '22P02' })
    const failing = Readable.from(
      (function* () {
        yield '4\n'
        throw new Error('source is broken')
      })(),
    )
    await expect(
      pipeline(failing, client.query(copyFrom('COPY of_bad_copy FROM STDIN'))),
    ).rejects.toThrow('source is broken')
    expect((await client.query('SELECT count(*)::int AS n FROM of_bad_copy')).rows).toEqual([
      { n: 0 },
    ])
    await client.end()
  })
})
