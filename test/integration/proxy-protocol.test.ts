import net from 'node:net'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { cancelRequest, sslRequest, startupMessage } from '../../src/wire/frontend-messages.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import {
  bind,
  close,
  describe as describeMessage,
  execute,
  flush,
  int32,
  message,
  parse,
  type RawClient,
  rows,
  sqlstate,
  sync,
} from '../support/raw-client.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy
const open: RawClient[] = []

async function raw(parameters: Readonly<Record<string, string>> = {}): Promise<RawClient> {
  const client = await proxy.raw({}, parameters)
  open.push(client)
  return client
}

/** Writes bytes to the port and gives what comes back until the proxy closes. */
function answerTo(...chunks: readonly Uint8Array[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const heard: Buffer[] = []
    const socket = net.connect(proxy.port, '127.0.0.1', () => {
      for (const chunk of chunks) socket.write(chunk)
    })
    socket.setTimeout(10_000, () => socket.destroy(new Error('no end')))
    socket.on('data', (chunk) => heard.push(chunk))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve(Buffer.concat(heard))
      else reject(error)
    })
    socket.on('close', () => resolve(Buffer.concat(heard)))
  })
}

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    `CREATE TABLE item (id int PRIMARY KEY, name text);
     INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 100) i`,
    [],
    'shop',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
})
afterEach(() => {
  for (const client of open.splice(0)) client.end()
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

describe('the extended protocol', () => {
  it('answers several Syncs that are in flight in their order', async () => {
    const client = await raw()
    const ask = (id: number) => [bind('', 'by_id', String(id)), execute(), sync]
    client.send(parse('by_id', 'SELECT name FROM item WHERE id = $1'), sync)
    client.send(...Array.from({ length: 50 }, (_none, i) => ask(i + 1)).flat())
    await client.until('Z')
    for (let id = 1; id <= 50; id++) {
      expect(rows(await client.until('Z'))).toEqual([[`item ${id}`]])
    }
  })

  it('mixes reads and writes in one pipeline without changing their order', async () => {
    const client = await raw()
    for (let i = 0; i < 20; i++) {
      const [write, read] = [`UPDATE item SET name = 'v${i}' WHERE id = 1`, 'SELECT 1']
      client.send(parse('', write), bind('', ''), execute(), sync)
      client.send(parse('', read), bind('', ''), execute(), sync)
    }
    for (let i = 0; i < 20; i++) {
      expect(await client.answer()).toBe('12CZ')
      expect(await client.answer()).toBe('12DCZ')
    }
    const [row] = await cluster.primary.query('SELECT name FROM item WHERE id = 1', [], 'shop')
    expect(row?.name).toBe('v19')
  })

  it('skips everything up to Sync after an error', async () => {
    const client = await raw()
    client.send(parse('', 'SELECT 1/0'), bind('', ''), execute(), execute(), parse('x', 'SELECT 1'))
    client.send(message('Q', 'SELECT 5'))
    client.send(sync, parse('', 'SELECT 7'), bind('', ''), execute(), sync)
    expect(await client.answer()).toMatch(/^12?EZ$/)
    expect(await client.answer()).toBe('12DCZ')
    client.send(describeMessage('S', 'x'), sync)
    expect(sqlstate(await client.until('Z'))).toBe('26000')
  })

  it('knows Sync alone, Flush, an empty query and Close of what does not exist', async () => {
    const client = await raw()
    client.send(sync)
    expect(await client.answer()).toBe('Z')
    client.send(message('Q', ''))
    expect(await client.answer()).toBe('IZ')
    client.send(parse('', ''), bind('', ''), execute(), sync)
    expect(await client.answer()).toBe('12IZ')
    client.send(close('S', 'nothing'), close('P', 'nothing'), sync)
    expect(await client.answer()).toBe('33Z')
    client.send(parse('f', 'SELECT name FROM item WHERE id = $1'), describeMessage('S', 'f'), flush)
    expect((await client.until('T')).map(({ type }) => type).join('')).toBe('1tT')
    client.send(bind('', 'f', '3'), execute(), flush)
    expect(rows(await client.until('C'))).toEqual([['item 3']])
    client.send(close('S', 'f'), sync)
    expect(await client.answer()).toBe('3Z')
    client.send(bind('', 'f', '3'), sync)
    expect(sqlstate(await client.until('Z'))).toBe('26000')
  })

  it('suspends portals, inside a transaction block also across Syncs', async () => {
    const client = await raw()
    await client.query('BEGIN')
    client.send(parse('', 'SELECT id FROM item ORDER BY id'), bind('c', ''), execute('c', 2), sync)
    expect(rows(await client.until('Z'))).toEqual([['1'], ['2']])
    client.send(execute('c', 3), sync)
    expect(rows(await client.until('Z'))).toEqual([['3'], ['4'], ['5']])
    client.send(close('P', 'c'), sync)
    expect(await client.answer()).toBe('3Z')
    await client.query('COMMIT')
    // A Query has destroyed the unnamed statement.
    client.send(bind('d', ''), sync)
    expect(sqlstate(await client.until('Z'))).toBe('26000')
    client.send(parse('', 'SELECT id FROM item'), bind('d', ''), execute('d', 1), sync)
    expect(await client.answer()).toBe('12DsZ')
    client.send(execute('d', 1), sync)
    expect(sqlstate(await client.until('Z'))).toBe('34000')
  })

  it('refuses a name that is taken, and goes on', async () => {
    const client = await raw()
    client.send(parse('twice', 'SELECT 1'), sync, parse('twice', 'SELECT 2'), sync)
    expect(await client.answer()).toBe('1Z')
    expect(sqlstate(await client.until('Z'))).toBe('42P05')
    client.send(bind('', 'twice'), execute(), sync)
    expect(rows(await client.until('Z'))).toEqual([['1']])
    client.send(close('S', 'twice'), parse('twice', 'SELECT 2'), bind('', 'twice'), execute(), sync)
    expect(rows(await client.until('Z'))).toEqual([['2']])
  })

  it('defers BEGIN as a prepared statement too', async () => {
    const client = await raw()
    client.send(parse('b', 'BEGIN'), parse('c', 'COMMIT'), sync)
    expect(await client.answer()).toBe('11Z')
    client.send(bind('', 'b'), execute(), sync)
    expect((await client.until('Z')).at(-1)?.body.toString()).toBe('T')
    client.send(parse('', "UPDATE item SET name = 'x' WHERE id = 9"), bind('', ''), execute(), sync)
    expect((await client.until('Z')).at(-1)?.body.toString()).toBe('T')
    client.send(bind('', 'c'), execute(), sync)
    expect((await client.until('Z')).at(-1)?.body.toString()).toBe('I')
    const [row] = await cluster.primary.query('SELECT name FROM item WHERE id = 9', [], 'shop')
    expect(row?.name).toBe('x')
  })

  it('carries BEGIN, a write and COMMIT in one segment', async () => {
    const client = await raw()
    const run = (text: string) => [parse('', text), bind('', ''), execute()]
    client.send(
      ...run('BEGIN'),
      ...run("UPDATE item SET name = 'seg' WHERE id = 8"),
      ...run('COMMIT'),
    )
    client.send(sync)
    expect(await client.answer()).toBe('12C12C12CZ')
    const [row] = await cluster.primary.query('SELECT name FROM item WHERE id = 8', [], 'shop')
    expect(row?.name).toBe('seg')
  })
})

describe('COPY', () => {
  it('goes in and out, by simple and by extended query', async () => {
    const client = await raw()
    await client.query('CREATE TABLE IF NOT EXISTS copied (id int, name text)')
    client.send(message('Q', 'COPY copied FROM STDIN'))
    await client.until('G')
    for (let i = 0; i < 100; i++) client.send(message('d', Buffer.from(`${i}\tline ${i}\n`)))
    client.send(message('c'))
    expect(await client.answer()).toBe('CZ')
    client.send(parse('', 'COPY copied FROM STDIN'), bind('', ''), execute(), sync)
    await client.until('G')
    client.send(message('d', Buffer.from('100\tlast\n')), flush, message('c'), sync)
    expect(await client.answer()).toBe('CZ')
    const out = await client.query('COPY copied TO STDOUT')
    expect(out.filter(({ type }) => type === 'd')).toHaveLength(101)
    client.send(parse('', 'COPY copied TO STDOUT'), bind('', ''), execute(), sync)
    expect((await client.until('Z')).filter(({ type }) => type === 'd')).toHaveLength(101)
    expect(rows(await client.query('SELECT count(*) FROM copied'))).toEqual([['101']])
  })

  it('ends by CopyFail and by an error of the server, and the session goes on', async () => {
    const client = await raw()
    await client.query('CREATE TABLE IF NOT EXISTS copied (id int, name text)')
    client.send(message('Q', 'COPY copied FROM STDIN'))
    await client.until('G')
    client.send(message('d', Buffer.from('1\tone\n')), message('f', 'no more'))
    expect(sqlstate(await client.until('Z'))).toBe('57014')
    client.send(message('Q', 'COPY copied FROM STDIN'))
    await client.until('G')
    client.send(message('d', Buffer.from('nonsense\n')))
    for (let i = 0; i < 50; i++) client.send(message('d', Buffer.from('1\tone\n')))
    client.send(message('c'))
    expect(sqlstate(await client.until('Z'))).toBe('22P02')
    expect(rows(await client.query('SELECT 5'))).toEqual([['5']])
  })

  it('passes 64 MB in, in large and in small pieces', async () => {
    const client = await raw()
    await client.query('CREATE UNLOGGED TABLE IF NOT EXISTS heap (line text)')
    client.send(message('Q', 'COPY heap FROM STDIN'))
    await client.until('G')
    const line = Buffer.from(`${'x'.repeat(1023)}\n`)
    const large = message('d', Buffer.concat(Array.from({ length: 1024 }, () => line)))
    for (let i = 0; i < 60; i++) client.send(large)
    for (let i = 0; i < 4096; i++) client.send(message('d', line))
    client.send(message('c'))
    expect((await client.until('Z', 60_000)).map(({ type }) => type).join('')).toBe('CZ')
    expect(rows(await client.query('SELECT count(*) FROM heap'))).toEqual([['65536']])
    await client.query('DROP TABLE heap')
  })
})

describe('a function call', () => {
  it('is answered by the primary', async () => {
    const client = await raw()
    const [row] = await cluster.primary.query("SELECT 'int4abs'::regproc::oid::int AS oid")
    // abs(-7): one argument in text format, result in text
    client.send(message('F', int32(Number(row?.oid)), 1, 0, 1, int32(2), Buffer.from('-7'), 0))
    const answer = await client.until('Z')
    const result = answer.find(({ type }) => type === 'V')
    expect(result?.body.toString('utf8', 4)).toBe('7')
  })
})

describe('a cancel request', () => {
  it('ends what runs, and nothing when nothing runs or the key is wrong', async () => {
    const client = await raw()
    const { processId, secretKey } = client.login
    await answerTo(cancelRequest(processId, secretKey))
    expect(rows(await client.query('SELECT 1'))).toEqual([['1']])
    client.send(message('Q', 'SELECT pg_sleep(20)'))
    const wrong = Buffer.from(secretKey)
    wrong[0] = (wrong[0] ?? 0) ^ 255
    await answerTo(cancelRequest(processId, wrong))
    await waitFor('pg_sleep to run', async () => {
      for (const node of cluster.nodes) {
        const found = await node.query(
          "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)' AND state = 'active'",
        )
        if (found.length > 0) return true
      }
      return false
    })
    await answerTo(cancelRequest(processId, secretKey))
    expect(sqlstate(await client.until('Z'))).toBe('57014')
    expect(rows(await client.query('SELECT 2'))).toEqual([['2']])
  })
})

describe('bytes that are no conversation', () => {
  it('leave all others unharmed, whatever they are', async () => {
    const good = await raw()
    let state = 7
    const random = (): number => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
      return state >>> 8
    }
    for (let round = 0; round < 40; round++) {
      const bytes = Buffer.from(Array.from({ length: 1 + (random() % 200) }, () => random() & 255))
      const socket = net.connect(proxy.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.end(bytes)
    }
    const start = startupMessage(0, [
      ['user', 'postgres'],
      ['database', 'shop'],
    ])
    for (const bad of [
      Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
      Buffer.concat([int32(0x7fffffff), int32(0x30000)]),
      Buffer.concat([int32(-1), int32(0x30000)]),
      Buffer.concat([int32(7), Buffer.from('abc')]),
      Buffer.concat([start, start]),
      Buffer.concat([sslRequest(), start]),
    ]) {
      const heard = await answerTo(bad)
      expect(heard.length === 0 || 'NER'.includes(String.fromCharCode(heard[0] ?? 0))).toBe(true)
    }
    expect(rows(await good.query('SELECT 1'))).toEqual([['1']])
  })

  it('behind an SSLRequest are refused', async () => {
    const start = startupMessage(0, [
      ['user', 'postgres'],
      ['database', 'shop'],
    ])
    const heard = await answerTo(Buffer.concat([sslRequest(), start]))
    expect(heard.toString()).toContain('received unencrypted data after SSL request')
  })

  it('are refused inside a session with 08P01, and a second startup packet too', async () => {
    const start = startupMessage(0, [
      ['user', 'postgres'],
      ['database', 'shop'],
    ])
    for (const bytes of [start, message('?'), Buffer.concat([Buffer.from('Q'), int32(3)])]) {
      const client = await raw()
      client.send(bytes)
      expect(sqlstate(await client.until('E'))).toBe('08P01')
      await client.closed()
    }
  })

  it('may be cut and joined anywhere', async () => {
    const client = await raw()
    const bytes = Buffer.concat([
      parse('cut', 'SELECT name FROM item WHERE id = $1'),
      bind('', 'cut', '42'),
      execute(),
      sync,
      message('Q', 'SELECT 42'),
    ])
    for (let at = 0; at < bytes.length; at++) {
      client.send(bytes.subarray(at, at + 1))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(rows(await client.until('Z'))).toEqual([['item 42']])
    expect(rows(await client.until('Z'))).toEqual([['42']])
  })
})

describe('start-up', () => {
  it('takes options, application_name and settings', async () => {
    const client = await raw({
      application_name: 'my app',
      options: '-c work_mem=7MB -c my.tenant=a\\ b',
    })
    const show = async (name: string) =>
      rows(await client.query(`SELECT current_setting('${name}')`))[0]?.[0]
    expect(await show('application_name')).toBe('my app')
    expect(await show('work_mem')).toBe('7MB')
    expect(await show('my.tenant')).toBe('a b')
    expect(client.login.parameters.get('application_name')).toBe('my app')
    expect(client.login.parameters.get('in_hot_standby')).toBe('off')
    await client.query("SET work_mem = '9MB'")
    await client.query('RESET ALL')
    expect(await show('work_mem')).toBe('7MB')
  })

  it('reports parameters that change', async () => {
    const client = await raw()
    const heard = await client.query("SET application_name = 'renamed'")
    const status = heard.find(({ type }) => type === 'S')
    expect(status?.body.toString()).toBe('application_name\0renamed\0')
  })

  it('refuses a setting that the server refuses, with its words', async () => {
    await expect(proxy.raw({}, { options: '-c work_mem=nonsense' })).rejects.toMatchObject({
      sqlstate: '22023',
    })
    await expect(proxy.raw({}, { options: '-c no_such_thing=1' })).rejects.toMatchObject({
      sqlstate: '42704',
    })
  })

  it('knows an unknown database from a known one', async () => {
    await expect(proxy.client({ database: 'nowhere' })).rejects.toMatchObject({ code: '3D000' })
    const other = await proxy.client({ database: 'postgres' })
    expect((await other.query('SELECT current_database()::text AS d')).rows).toEqual([
      { d: 'postgres' },
    ])
    await other.end()
  })
})

describe('roles of the cluster', () => {
  it('log in by SCRAM without being listed, and not with a wrong password', async () => {
    await proxy.with((db) => db.query("CREATE ROLE ann LOGIN PASSWORD 'right'"))
    await cluster.catchUp()
    const ann = await proxy.client({ user: 'ann', password: 'right' })
    expect(
      (await ann.query('SELECT current_user::text AS u, session_user::text AS s')).rows,
    ).toEqual([{ u: 'ann', s: 'ann' }])
    await ann.query('SELECT count(*) FROM pg_class')
    await ann.end()
    for (const login of [
      { user: 'ann', password: 'wrong' },
      { user: 'nobody', password: 'x' },
    ]) {
      await expect(proxy.client(login)).rejects.toMatchObject({ code: '28P01' })
    }
  })

  it('log in by md5 or without a password where the configuration says so', async () => {
    const trusting = await startTestProxy(cluster, {
      auth: {
        method: 'trust',
        users: [
          {
            name: 'guest',
            password: 'x',
            serverUser: 'postgres',
            serverPassword: cluster.password,
          },
        ],
      },
    })
    try {
      const guest = new pg.Client({
        host: '127.0.0.1',
        port: trusting.port,
        user: 'guest',
        database: 'shop',
      })
      await guest.connect()
      expect((await guest.query('SELECT session_user::text AS u')).rows).toEqual([
        { u: 'postgres' },
      ])
      await guest.end()
    } finally {
      await trusting.stop()
    }
    const md5 = await startTestProxy(cluster, {
      auth: {
        method: 'md5',
        users: [
          {
            name: 'bob',
            password: 'secret',
            serverUser: 'postgres',
            serverPassword: cluster.password,
          },
        ],
      },
    })
    try {
      const bob = await md5.client({ user: 'bob', password: 'secret' })
      expect((await bob.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
      await bob.end()
      await expect(md5.client({ user: 'bob', password: 'wrong' })).rejects.toMatchObject({
        code: '28P01',
      })
    } finally {
      await md5.stop()
    }
  })
})
