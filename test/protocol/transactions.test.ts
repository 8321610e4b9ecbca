import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster()
})
afterEach(() => cluster.close())

describe('BEGIN', () => {
  it('is answered at once and sent in front of the first statement', async () => {
    const client = cluster.connect()
    expect(await client.query('BEGIN')).toBe('C BEGIN · Z T')
    expect(cluster.servers).toHaveLength(0)
    expect(await client.query('SELECT node()')).toBe('T · D primary · C SELECT 1 · Z T')
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.server('primary').texts).toEqual(['BEGIN', 'SELECT node()', 'COMMIT'])
    expect(cluster.inUse).toBe(0)
  })

  it('that is ended before any statement never reaches a server', async () => {
    const client = cluster.connect()
    await client.query('BEGIN')
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    await client.query('START TRANSACTION')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    expect(cluster.servers).toHaveLength(0)
  })

  it('inside a transaction warns, before the first statement and behind it', async () => {
    const client = cluster.connect()
    await client.query('BEGIN')
    expect(await client.query('BEGIN')).toBe('N 25001 · C BEGIN · Z T')
    await client.query('SELECT node()')
    expect(await client.query('BEGIN')).toBe('N 25001 · C BEGIN · Z T')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
  })

  it('READ ONLY takes the whole transaction to a replica', async () => {
    const client = cluster.connect()
    await client.query('BEGIN READ ONLY')
    expect(await client.query('SELECT node()')).toBe('T · D r1 · C SELECT 1 · Z T')
    expect(await client.query('SELECT node()')).toBe('T · D r1 · C SELECT 1 · Z T')
    expect(await client.query('INSERT INTO items VALUES (1)')).toBe('E 25006 · Z E')
    expect(await client.query('SELECT node()')).toBe('E 25P02 · Z E')
    expect(await client.query('COMMIT')).toBe('C ROLLBACK · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('and SET TRANSACTION READ ONLY behind it go to a replica', async () => {
    const client = cluster.connect()
    await client.query('BEGIN')
    expect(await client.query('SET TRANSACTION READ ONLY')).toBe('C SET · Z T')
    expect(await client.query('SELECT node()')).toBe('T · D r1 · C SELECT 1 · Z T')
    await client.query('COMMIT')
    expect(cluster.server('r1').texts).toEqual([
      // Once for all sessions of its user.
      'SHOW transaction_isolation',
      'BEGIN',
      'SET TRANSACTION READ ONLY',
      'SELECT node()',
      'COMMIT',
    ])
  })

  it('READ WRITE stays on the primary, whatever SET TRANSACTION says behind it', async () => {
    const client = cluster.connect()
    for (const [first, second] of [
      ['BEGIN READ WRITE', 'SET TRANSACTION READ ONLY'],
      ['BEGIN READ ONLY', 'SET TRANSACTION READ WRITE; SET TRANSACTION READ ONLY'],
    ] as const) {
      await client.query(first)
      // A standby refuses the word itself.
      for (const text of second.split('; ')) expect(await client.query(text)).toBe('C SET · Z T')
      expect(await client.query('SELECT node()')).toBe('T · D primary · C SELECT 1 · Z T')
      await client.query('COMMIT')
    }
  })

  it('READ ONLY refuses on its replica what would succeed there and mean nothing', async () => {
    const client = cluster.connect()
    await client.query('BEGIN READ ONLY')
    await client.query('SELECT node()')
    expect(await client.query('SELECT pg_advisory_lock(1)')).toBe('E 25006 · Z E')
    expect(cluster.server('r1').texts).not.toContain('SELECT pg_advisory_lock(1)')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    await client.query('BEGIN READ ONLY')
    await client.query('SELECT node()')
    expect(await client.run('SELECT pg_advisory_lock(1)')).toBe('E 25006 · Z E')
    client.send(front.run('SELECT node()'), front.sync)
    expect(await client.ready()).toBe('E 25P02 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('READ ONLY and READ COMMITTED moves to the primary for what only that can tell', async () => {
    cluster.on('SHOW transaction_isolation', () => ({ rows: [['read committed']], tag: 'SHOW' }))
    const client = cluster.connect()
    await client.query('BEGIN READ ONLY')
    expect(await client.query('SELECT node()')).toContain('D r1')
    const only = 'SELECT pg_is_in_recovery()'
    cluster.on(only, (_, server) => ({ rows: [[server.node.id]], tag: 'SELECT 1' }))
    expect(await client.query(only)).toBe('T · D primary · C SELECT 1 · Z T')
    for (const { route } of cluster.sessions) {
      expect(route.text).toContain('moved to the primary')
    }
    expect(await client.query('SELECT node()')).toContain('D primary')
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.server('r1').texts.slice(-2)).toEqual(['SHOW transaction_isolation', 'COMMIT'])
    expect(cluster.server('primary').texts).toEqual([
      'BEGIN READ ONLY',
      only,
      'SELECT node()',
      'COMMIT',
    ])
    expect(cluster.inUse).toBe(0)
  })

  it('READ ONLY moves in mid-segment, too, and not when it holds something', async () => {
    cluster.on('SHOW transaction_isolation', () => ({ rows: [['read committed']], tag: 'SHOW' }))
    const client = cluster.connect()
    await client.query('BEGIN READ ONLY')
    await client.query('SELECT node()')
    client.send(front.parse('', 'SELECT node()'), front.describe('S'), front.flush)
    client.send(front.run('SELECT pg_advisory_xact_lock(1)'), front.sync)
    expect(await client.ready()).toBe('1 · t · T · 1 · 2 · D primary · C SELECT 1 · Z T')
    expect(await client.query('SELECT node()')).toContain('D primary')
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    await client.query('BEGIN READ ONLY')
    await client.query('SELECT node()')
    await client.query('SET work_mem = 5')
    expect(await client.query('SELECT pg_advisory_xact_lock(1)')).toBe('E 25006 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    expect(client.unseen).toBe('')
    expect(cluster.inUse).toBe(0)
  })

  it('READ ONLY takes its savepoints and local settings along', async () => {
    cluster.on('SHOW transaction_isolation', () => ({ rows: [['read committed']], tag: 'SHOW' }))
    const client = cluster.connect()
    await client.query('BEGIN READ ONLY')
    await client.query('SET LOCAL work_mem = 5')
    await client.query('SELECT node()')
    await client.query('SAVEPOINT "S 1"')
    client.send(front.run("SELECT set_config('app.x', 'a''b', true)"), front.sync)
    await client.ready()
    expect(await client.query('SELECT pg_advisory_xact_lock(1)')).toContain('C SELECT 1 · Z T')
    expect(await client.query('SELECT node()')).toContain('D primary')
    const texts = cluster.serversOf('primary').flatMap((server) => server.texts)
    expect(texts.slice(-6)).toEqual([
      'BEGIN READ ONLY',
      'SET LOCAL work_mem = 5',
      'SAVEPOINT "S 1"',
      "SELECT pg_catalog.set_config('app.x', 'a''b', true)",
      'SELECT pg_advisory_xact_lock(1)',
      'SELECT node()',
    ])
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('READ ONLY goes on at the primary when its replica refuses a local setting', async () => {
    const client = cluster.connect()
    const error = { sqlstate: '22023', message: 'role "nr" does not exist' }
    for (const node of cluster.nodes.slice(1)) {
      cluster.onNode(node, /^(SET LOCAL ROLE|.*set_config)/, () => ({ error }))
    }
    for (const text of ['SET LOCAL ROLE nr', "SELECT set_config('role', 'nr', true)"]) {
      for (const isSimple of [true, false]) {
        await client.query('BEGIN READ ONLY')
        if (isSimple) expect(await client.query(text)).not.toContain('E ')
        else {
          client.send(front.run(text), front.sync)
          expect(await client.ready()).not.toContain('E ')
        }
        expect(await client.query('SELECT node()')).toContain('D primary')
        expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
      }
    }
    expect(cluster.inUse).toBe(0)
  })

  it('READ ONLY whose replica goes while it is to move is lost, once', async () => {
    const client = cluster.connect()
    await client.query('BEGIN READ ONLY')
    await client.query('SELECT node()')
    cluster.on('SHOW transaction_isolation', () => ({ die: true }))
    expect(await client.query('SELECT pg_advisory_xact_lock(1)')).toBe('E 08006 · Z E')
    expect(await client.query('SELECT node()')).toBe('E 25P02 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    expect(await client.query('SELECT node()')).toContain('C SELECT 1')
    expect(cluster.inUse).toBe(0)
  })

  it('READ ONLY refuses such a statement once when it comes with a Flush', async () => {
    const client = cluster.connect()
    await client.query('BEGIN READ ONLY')
    await client.query('SELECT node()')
    client.send(front.run('SELECT pg_advisory_lock(1)'), front.flush)
    expect(await client.last('E 25006')).toBe('E 25006')
    expect(await client.send(front.run('SELECT node()'), front.sync).ready()).toBe('Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    expect(client.unseen).toBe('')
  })

  it('SERIALIZABLE goes to the primary though it is READ ONLY', async () => {
    const client = cluster.connect()
    await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY')
    expect(await client.query('SELECT node()')).toContain('D primary')
  })

  it('of the extended protocol is deferred like that of the simple one', async () => {
    const client = cluster.connect()
    client.send(
      front.parse('', 'BEGIN READ ONLY'),
      front.bind(''),
      front.describe('P'),
      front.execute(),
      front.sync,
    )
    expect(await client.ready()).toBe('1 · 2 · n · C BEGIN · Z T')
    expect(cluster.servers).toHaveLength(0)
    expect(await client.run('SELECT node()')).toBe('1 · 2 · D r1 · C SELECT 1 · Z T')
    expect(await client.run('COMMIT')).toBe('1 · 2 · C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('and a statement in one segment run on the primary', async () => {
    const client = cluster.connect()
    client.send(front.run('BEGIN'), front.run('SELECT node()'), front.sync)
    expect(await client.ready()).toBe('1 · 2 · C BEGIN · 1 · 2 · D primary · C SELECT 1 · Z T')
    expect(await client.query('SELECT node()')).toContain('D primary')
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('pipelined with its statements and COMMIT gives the answers in order', async () => {
    const client = cluster.connect()
    client.send(
      front.query('BEGIN'),
      front.query('INSERT INTO items VALUES (1)'),
      front.query('COMMIT'),
      front.query('SELECT node()'),
    )
    const answer = await client.ready(4)
    expect(answer).toMatch(/^C BEGIN · Z T · C INSERT 0 1 · Z T · C COMMIT · Z I · T · D \w+/)
    expect(cluster.inUse).toBe(0)
  })

  it('READ ONLY pipelined up to a write behind its COMMIT leaves the replica for the write', async () => {
    const client = cluster.connect()
    client.send(
      front.query('BEGIN READ ONLY'),
      front.query('SELECT node()'),
      front.query('COMMIT'),
      front.query('INSERT INTO items VALUES (1)'),
    )
    expect(await client.ready(4)).toBe(
      'C BEGIN · Z T · T · D r1 · C SELECT 1 · Z T · C COMMIT · Z I · C INSERT 0 1 · Z I',
    )
  })
})

describe('COMMIT and ROLLBACK', () => {
  it('with nothing open warn', async () => {
    const client = cluster.connect()
    expect(await client.query('COMMIT')).toBe('N 25P01 · C COMMIT · Z I')
    expect(await client.query('ROLLBACK')).toBe('N 25P01 · C ROLLBACK · Z I')
    expect(await client.run('COMMIT')).toBe('1 · 2 · N 25P01 · C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })
})

describe('a transaction that its text opens', () => {
  it('keeps its server connection until it ends', async () => {
    const client = cluster.connect()
    expect(await client.query('BEGIN; INSERT INTO items VALUES (1)')).toBe(
      'C BEGIN · C INSERT 0 1 · Z T',
    )
    expect(cluster.inUse).toBe(1)
    expect(await client.query('SELECT node()')).toContain('D primary')
    expect(await client.query('END')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })
})

describe('the implicit transaction of a segment', () => {
  it('is one: a read in it goes to the primary with the write', async () => {
    const client = cluster.connect()
    client.send(front.run('SELECT node()'), front.run('INSERT INTO items VALUES (1)'), front.sync)
    expect(await client.ready()).toBe('1 · 2 · D primary · C SELECT 1 · 1 · 2 · C INSERT 0 1 · Z I')
  })
})

describe('a server that is lost', () => {
  it('in mid-transaction is told once, then 25P02 until ROLLBACK', async () => {
    const client = cluster.connect()
    await client.query('BEGIN')
    await client.query('INSERT INTO items VALUES (1)')
    cluster.on('SELECT node()', () => ({ die: true }))
    expect(await client.query('SELECT node()')).toBe('E 08006 · Z E')
    expect(await client.query('SELECT 1')).toBe('E 25P02 · Z E')
    expect(await client.run('SELECT 1')).toMatch(/E 25P02 · Z E$/)
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    expect(await client.query('SELECT pid()')).toContain('C SELECT 1 · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('between two statements of a transaction is told at the next', async () => {
    const client = cluster.connect()
    await client.query('BEGIN')
    await client.query('INSERT INTO items VALUES (1)')
    cluster.server('primary').die()
    expect(await client.query('SELECT node()')).toBe('E 08006 · Z E')
    expect(await client.query('SELECT 1')).toBe('E 25P02 · Z E')
    expect(await client.query('COMMIT')).toBe('C ROLLBACK · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('by FATAL in mid-transaction is one error for the client', async () => {
    const client = cluster.connect()
    await client.query('BEGIN')
    await client.query('INSERT INTO items VALUES (1)')
    cluster.on('SELECT node()', () => ({
      error: { sqlstate: '57P01', message: 'terminating connection', severity: 'FATAL' },
    }))
    expect(await client.query('SELECT node()')).toBe('E 08006 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
  })

  it('with several requests in flight aborts the transaction for all of them', async () => {
    const client = cluster.connect()
    await client.query('BEGIN')
    await client.query('INSERT INTO items VALUES (1)')
    cluster.on('SELECT slow()', () => ({ die: true }))
    client.send(front.query('SELECT slow()'), front.query('SELECT 1'), front.query('SELECT 2'))
    expect(await client.ready(3)).toBe('E 08006 · Z E · E 25P02 · Z E · E 25P02 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
  })

  it('during COMMIT leaves the outcome unknown', async () => {
    const client = cluster.connect()
    await client.query('BEGIN')
    await client.query('INSERT INTO items VALUES (1)')
    cluster.on('COMMIT', () => ({ die: true }))
    expect(await client.query('COMMIT')).toBe('E 08007 · Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
  })

  it('during an autocommit write leaves the outcome unknown, too', async () => {
    const client = cluster.connect()
    cluster.on(/^INSERT/, () => ({ die: true }))
    expect(await client.query('INSERT INTO items VALUES (1)')).toBe('E 08007 · Z I')
    expect(await client.run('INSERT INTO items VALUES (1)')).toBe('E 08007 · Z I')
  })

  it('during a segment that the client has not ended lets it end the segment', async () => {
    const client = cluster.connect()
    cluster.on(/^INSERT/, () => ({ die: true }))
    client.send(front.run('INSERT INTO items VALUES (1)'), front.flush)
    expect(await client.until('error', (texts) => texts.some((t) => t.startsWith('E')))).toBe(
      '1 · 2 · E 08007',
    )
    expect(await client.send(front.run('SELECT node()'), front.sync).ready()).toBe('Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
  })

  it('in the middle of a row ends the client, who could not be told otherwise', async () => {
    const client = cluster.connect()
    cluster.on('SELECT rows(1)', (_, server) => {
      const row = Buffer.alloc(1000)
      row.write('D')
      row.writeInt32BE(5000, 1)
      server.say(row)
      return { die: true }
    })
    client.send(front.query('SELECT rows(1)'))
    await client.closed()
    expect(cluster.sessions.size).toBe(0)
  })
})
