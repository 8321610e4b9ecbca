import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { noticeResponse } from '../../src/wire/backend-messages.ts'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front, message } from '../support/scripted-messages.ts'
import { isCutShort } from '../support/turns.ts'
import { waitFor } from '../support/wait-for.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster()
})
afterEach(() => cluster.close())

describe('a simple query', () => {
  it.skipIf(isCutShort)(
    'goes to a replica when it is a proved read, to the primary otherwise',
    async () => {
      const client = cluster.connect()
      expect(await client.query('SELECT node()')).toBe('T · D r1 · C SELECT 1 · Z I')
      expect(await client.query('INSERT INTO items VALUES (1)')).toBe('C INSERT 0 1 · Z I')
      expect(await client.query('SELECT unheard_of()')).toBe('T · D primary · C SELECT 1 · Z I')
      expect(cluster.server('r1').texts).toEqual(['SELECT node()'])
      expect(cluster.inUse).toBe(0)
    },
  )

  it('of several statements goes to the primary as a whole when one of them may write', async () => {
    const client = cluster.connect()
    expect(await client.query('SELECT node(); SELECT node()')).toBe(
      'T · D r1 · C SELECT 1 · T · D r1 · C SELECT 1 · Z I',
    )
    expect(await client.query('SELECT node(); INSERT INTO items VALUES (1)')).toBe(
      'T · D primary · C SELECT 1 · C INSERT 0 1 · Z I',
    )
  })

  it('that is empty is answered with EmptyQueryResponse', async () => {
    const client = cluster.connect()
    expect(await client.query('')).toBe('I · Z I')
    expect(await client.query(' -- nothing')).toBe('I · Z I')
    expect(cluster.servers).toHaveLength(0)
  })

  it('that is empty gets EmptyQueryResponse in an aborted transaction, too', async () => {
    const client = cluster.connect()
    await client.query('BEGIN')
    expect(await client.query("SELECT fail('22012')")).toBe('E 22012 · Z E')
    expect(await client.query('')).toBe('I · Z E')
    expect(await client.query('SELECT 1')).toBe('E 25P02 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
  })

  it('without its terminating NUL, or with one inside, is refused and the session goes on', async () => {
    const client = cluster.connect()
    const bare = message('Q', (w) => w.bytes(Buffer.from('SELECT 1')))
    const inside = message('Q', (w) => w.bytes(Buffer.from('SELECT 1\0; DROP TABLE items\0')))
    expect(await client.send(bare).ready()).toBe('E 08P01 · Z I')
    expect(await client.send(inside).ready()).toBe('E 08P01 · Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
  })

  it('gets its answers in order when several are sent in one write', async () => {
    const client = cluster.connect()
    client.send(
      front.query('SELECT node()'),
      front.query('INSERT INTO items VALUES (1)'),
      front.query(''),
      front.query('SELECT rows(2)'),
      front.query("SELECT fail('42601')"),
      front.query('SHOW pgsplit.cluster'),
    )
    expect(await client.ready(6)).toBe(
      [
        'T · D r1 · C SELECT 1 · Z I',
        'C INSERT 0 1 · Z I',
        'I · Z I',
        'T · D 0 · D 1 · C SELECT 2 · Z I',
        'E 42601 · Z I',
        'T · D scripted · C SHOW · Z I',
      ].join(' · '),
    )
    expect(cluster.inUse).toBe(0)
  })

  it('that may write is never sent behind a read to the replica that still runs the read', async () => {
    const client = cluster.connect()
    cluster.on('SELECT slow()', (_, server) => (server.isPaused ? null : hangOnce()))
    let hasHung = false
    function hangOnce() {
      if (hasHung) return null
      hasHung = true
      return { hang: true }
    }
    client.send(front.query('SELECT slow()'), front.query('INSERT INTO items VALUES (1)'))
    const replica = await waitFor('the read', () => cluster.servers[0])
    await waitFor('the hang', () => replica.isPaused)
    replica.go()
    expect(await client.ready(2)).toBe('T · D r1 · C SELECT 1 · Z I · C INSERT 0 1 · Z I')
    expect(replica.texts).toEqual(['SELECT slow()'])
  })

  it('passes on notices and parameters wherever they come', async () => {
    const client = cluster.connect()
    const notice = noticeResponse('NOTICE', { sqlstate: '00000', message: 'hello' })
    cluster.on('SELECT rows(1)', () => ({
      before: notice,
      rows: [['0']],
      after: notice,
      tag: 'SELECT 1',
    }))
    expect(await client.query('SELECT rows(1)')).toBe(
      'N 00000 · T · D 0 · N 00000 · C SELECT 1 · Z I',
    )
    expect(await client.query('SET application_name = psql')).toBe(
      'S application_name=psql · C SET · Z I',
    )
  })

  it('behind Terminate in the same write is not run', async () => {
    const client = cluster.connect()
    client.send(front.terminate, front.query('INSERT INTO items VALUES (1)'))
    await client.closed()
    expect(cluster.sessions.size).toBe(0)
    expect(cluster.inUse).toBe(0)
    expect(cluster.servers).toHaveLength(0)
  })

  it('is finished before Terminate behind it takes effect', async () => {
    const client = cluster.connect()
    client.send(front.query('INSERT INTO items VALUES (1)'), front.terminate)
    expect(await client.closed()).toBe('C INSERT 0 1 · Z I')
    expect(cluster.inUse).toBe(0)
  })
})

describe('a function call', () => {
  it('runs on the primary', async () => {
    const client = cluster.connect()
    expect(await client.send(front.functionCall(952)).ready()).toBe('V · Z I')
    expect(cluster.server('primary').log).toEqual(['F'])
  })
})

describe('a message that no client may send', () => {
  it.each([
    ['a second StartupMessage', Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0])],
    ['an SSLRequest', Buffer.from('\0\0\0\x08\x04\xd2\x16\x2f', 'latin1')],
    ['a length below 4', Buffer.from([0x51, 0, 0, 0, 3])],
    ['a negative length', Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff])],
    ['a length of 2 GB', Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff])],
    ['an unknown type', message('?')],
    ['a message of a server', message('Z', (w) => w.byte(0x49))],
    ['a password', message('p', (w) => w.string('secret'))],
  ])('%s ends the connection with a protocol error', async (_, bytes) => {
    const client = cluster.connect()
    const other = cluster.connect()
    await client.query('BEGIN')
    await client.query('INSERT INTO items VALUES (1)')
    client.send(bytes)
    expect(await client.closed()).toBe('E 08P01')
    expect(cluster.inUse).toBe(0)
    expect(await other.query('SELECT node()')).toContain('D r1')
  })
})
