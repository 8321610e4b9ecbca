import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freezeSnapshot } from '../../src/topology/snapshot.ts'
import { parameterStatus } from '../../src/wire/backend-messages.ts'
import type { ScriptedClient } from '../support/scripted-client.ts'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster()
  cluster.on('SHOW transaction_isolation', () => ({ rows: [['read committed']], tag: 'SHOW' }))
})
afterEach(() => cluster.close())

function connect(settings: Record<string, string> = {}): ScriptedClient {
  // However long the primary's position takes on a busy machine.
  const patient = { 'pgsplit.transactions': 'optimistic', 'pgsplit.causal_wait': '30s' }
  return cluster.connect({ settings: { ...patient, ...settings } })
}

/** What a node was told, over all its connections; the question for the level once is left out. */
function told(id: string): string[] {
  const texts = cluster.serversOf(id).flatMap((server) => server.texts)
  return texts.filter((text) => text !== 'SHOW transaction_isolation')
}

const read = 'SELECT node()'
const write = 'INSERT INTO items VALUES (1)'
/** What fixes the modes of a transaction that has read elsewhere. */
const snapshot = 'SELECT'

describe('a transaction that may write', () => {
  it('runs on a replica as a whole when it only reads', async () => {
    const client = connect()
    await client.query('BEGIN')
    expect(await client.query(read)).toBe('T · D r1 · C SELECT 1 · Z T')
    expect(await client.run(read)).toBe('1 · 2 · D r1 · C SELECT 1 · Z T')
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(told('r1')).toEqual(['BEGIN', read, read, 'COMMIT'])
    expect(told('primary')).toEqual([])
    expect(cluster.inUse).toBe(0)
  })

  it('goes on at the primary with its first write, in both protocols', async () => {
    const client = connect()
    for (const isSimple of [true, false]) {
      await client.query('BEGIN ISOLATION LEVEL READ COMMITTED')
      expect(await client.query(read)).toContain('D r1')
      if (isSimple) expect(await client.query(write)).toBe('C INSERT 0 1 · Z T')
      else expect(await client.run(write)).toBe('1 · 2 · C INSERT 0 1 · Z T')
      for (const { route } of cluster.sessions) {
        expect(route.text).toBe('primary: moved to the primary: INSERT writes')
      }
      expect(await client.query(read)).toContain('D primary')
      expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    }
    const begin = 'BEGIN ISOLATION LEVEL READ COMMITTED'
    expect(told('r1')).toEqual([begin, read, 'ROLLBACK', begin, read, 'ROLLBACK'])
    const once = [begin, snapshot, write, read, 'COMMIT']
    expect(told('primary')).toEqual([...once, ...once])
    expect(cluster.inUse).toBe(0)
  })

  it('begins on the primary with a write, and where it says so', async () => {
    const client = connect()
    for (const [begin, first] of [
      ['BEGIN', write],
      ['/* pgsplit: primary */ BEGIN', read],
      ['BEGIN READ WRITE', read],
      ['BEGIN ISOLATION LEVEL REPEATABLE READ', read],
      ['BEGIN', 'SHOW work_mem'],
      ['BEGIN', 'SELECT now()'],
      ['BEGIN', "SELECT 'today'::date"],
      ['BEGIN', 'DECLARE c CURSOR FOR SELECT node()'],
      ['BEGIN', 'SET work_mem = 5'],
      ['BEGIN', 'SAVEPOINT a; SELECT node()'],
      ['BEGIN', `${read}; ${write}`],
      ['BEGIN', `${read}; COMMIT; ${write}`],
    ] as const) {
      await client.query(begin)
      await client.query(first)
      expect(await client.query('ROLLBACK'), first).toContain('Z I')
    }
    expect(told('r1')).toEqual([])
    const other = connect({ 'pgsplit.transactions': 'primary' })
    await other.query('BEGIN')
    expect(await other.query(read)).toContain('D primary')
    expect(await other.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('begins on the primary where a backslash may write any word in a literal', async () => {
    cluster.on('SET standard_conforming_strings = off', () => ({
      before: parameterStatus('standard_conforming_strings', 'off'),
      tag: 'SET',
    }))
    const client = connect()
    await client.query('SET standard_conforming_strings = off')
    await client.query('BEGIN')
    expect(await client.query(read)).toContain('D primary')
    await client.query('COMMIT')
  })

  it('does what its session is set to when it begins', async () => {
    const client = cluster.connect()
    expect(await client.query('SHOW pgsplit.transactions')).toContain('D primary')
    expect(await client.query('SET pgsplit.transactions = optimistic')).toBe('C SET · Z I')
    await client.query('BEGIN')
    expect(await client.query(read)).toContain('D r1')
    await client.query('SET pgsplit.transactions = primary')
    expect(await client.query(write)).toBe('C INSERT 0 1 · Z T')
    expect(told('primary')).toContain('BEGIN')
    await client.query('COMMIT')
    await client.query('BEGIN')
    expect(await client.query(read)).toContain('D primary')
    await client.query('COMMIT')
    expect(await client.query('SET pgsplit.transactions = always')).toBe('E 22023 · Z I')
    await client.query('RESET pgsplit.transactions')
    expect(await client.query('SHOW pgsplit.transactions')).toContain('D primary')
  })

  it.each([
    'SELECT now()',
    'SELECT CURRENT_DATE',
    "SELECT node() WHERE 'tomorrow'::date > '2026-01-01'",
    'LOCK items',
    'SELECT node() FOR UPDATE',
    'SET work_mem = 5',
    'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
    'SET LOCAL transaction_read_only = on',
    'SET CONSTRAINTS ALL DEFERRED',
    'SHOW work_mem',
    'LISTEN a',
    'NOTIFY a',
    'PREPARE p AS SELECT node()',
    'DECLARE c CURSOR FOR SELECT node()',
    'SELECT pg_advisory_xact_lock(1)',
    "PREPARE TRANSACTION 'x'",
    'COPY items FROM STDIN',
    'CREATE TEMP TABLE x (i int)',
    'BEGIN',
    '/* pgsplit: primary */ SELECT node()',
    'SAVEPOINT a; SELECT node()',
    'COMMIT; BEGIN',
  ])('leaves its replica for %s', async (text) => {
    const client = connect()
    await client.query('BEGIN')
    await client.query(read)
    client.send(front.query(text))
    if (text.startsWith('COPY')) client.send(front.copyDone)
    await client.ready()
    expect(told('r1')).toEqual(['BEGIN', read, 'ROLLBACK'])
    const own = text.replace('PREPARE p', 'PREPARE pgsplit_1')
    expect(told('primary').slice(0, 3)).toEqual(['BEGIN', snapshot, own])
    await client.query('ROLLBACK')
  })

  it('takes its savepoints and local settings along, and only those that hold', async () => {
    const client = connect()
    await client.query('BEGIN')
    await client.query('SET LOCAL work_mem = 5')
    await client.query('SAVEPOINT a')
    await client.query(read)
    await client.query("SELECT fail('22012')")
    expect(await client.query(read)).toBe('E 25P02 · Z E')
    expect(await client.query(write)).toBe('E 25P02 · Z E')
    expect(await client.query('ROLLBACK TO a')).toBe('C ROLLBACK · Z T')
    expect(await client.run('SAVEPOINT b')).toContain('C SAVEPOINT · Z T')
    expect(await client.query('RELEASE b')).toBe('C RELEASE · Z T')
    expect(await client.query(read)).toContain('D r1')
    expect(await client.query(write)).toBe('C INSERT 0 1 · Z T')
    expect(told('primary')).toEqual([
      ...['BEGIN', 'SET LOCAL work_mem = 5', 'SAVEPOINT a', 'ROLLBACK TO a', 'SAVEPOINT "b"'],
      ...['RELEASE b', snapshot, write],
    ])
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('that has failed on its replica ends as failed', async () => {
    const client = connect()
    await client.query('BEGIN')
    await client.query("SELECT fail('22012')")
    expect(await client.query(write)).toBe('E 25P02 · Z E')
    expect(await client.query('COMMIT')).toBe('C ROLLBACK · Z I')
    expect(told('primary').filter((text) => text === 'BEGIN')).toEqual([])
  })

  it('fails on the primary, too, when the way out of it goes on with a write', async () => {
    const client = connect()
    await client.query('BEGIN')
    await client.query('SAVEPOINT a')
    await client.query("SELECT fail('22012')")
    expect(await client.query(`ROLLBACK TO a; ${write}`)).toBe('C ROLLBACK · C INSERT 0 1 · Z T')
    await client.query("SELECT fail('22012')")
    expect(await client.query('COMMIT')).toBe('C ROLLBACK · Z I')
    await client.query('BEGIN')
    await client.query("SELECT fail('22012')")
    expect(await client.query(`COMMIT; ${write}`)).toBe('C ROLLBACK · C INSERT 0 1 · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('goes on with AND CHAIN as the same kind of transaction', async () => {
    const client = connect()
    await client.query('BEGIN')
    await client.query('SET LOCAL work_mem = 5')
    await client.query(read)
    expect(await client.query('COMMIT AND CHAIN')).toBe('C COMMIT · Z T')
    expect(await client.query(read)).toContain('D r1')
    expect(await client.query(write)).toBe('C INSERT 0 1 · Z T')
    expect(told('primary')).toEqual(['BEGIN', snapshot, write])
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('answers SHOW pgsplit.last_route where it is', async () => {
    const client = connect()
    await client.query('BEGIN')
    await client.query(read)
    expect(await client.query('SHOW pgsplit.last_route')).toContain('D r1: optimistic transaction')
    expect(await client.query(read)).toContain('D r1')
    await client.query('COMMIT')
    expect(told('primary')).toEqual([])
  })
})

describe('a pipelined transaction that may write', () => {
  it('waits for the answers of its reads before it leaves', async () => {
    const client = connect()
    client.send(front.query('BEGIN'), front.query(read), front.query(read), front.query(write))
    client.send(front.query(read), front.query('COMMIT'), front.query(read))
    const reads = 'T · D r1 · C SELECT 1 · Z T'
    expect(await client.ready(7)).toMatch(
      new RegExp(
        `^C BEGIN · Z T · ${reads} · ${reads} · C INSERT 0 1 · Z T · T · D primary · C SELECT 1 · Z T · C COMMIT · Z I · T · D \\w+ · C SELECT 1 · Z I$`,
      ),
    )
    expect(told('r1').slice(0, 4)).toEqual(['BEGIN', read, read, 'ROLLBACK'])
    expect(told('primary').slice(0, 5)).toEqual(['BEGIN', snapshot, write, read, 'COMMIT'])
    expect(cluster.inUse).toBe(0)
  })

  it('is not moved by what comes behind a failure', async () => {
    const client = connect()
    client.send(front.query('BEGIN'), front.query("SELECT fail('22012')"), front.query(write))
    expect(await client.ready(3)).toMatch(/^C BEGIN · Z T · E 22012 · Z E · E 25P02 · Z E$/)
    expect(told('primary')).toEqual([])
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
  })

  it('moves in mid-segment behind what was only described', async () => {
    const client = connect()
    await client.query('BEGIN')
    await client.query(read)
    client.send(front.parse('', read), front.describe('S'), front.flush)
    client.send(front.run(write), front.sync)
    expect(await client.ready()).toBe('1 · t · T · 1 · 2 · C INSERT 0 1 · Z T')
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('goes to the primary for what is run behind a Flush, whatever follows', async () => {
    const client = connect()
    await client.query('BEGIN')
    await client.query(read)
    client.send(front.run(read), front.flush)
    expect(await client.last('C SELECT 1')).toContain('D primary')
    expect(await client.send(front.run(write), front.sync).ready()).toContain('C INSERT 0 1 · Z T')
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it.each([
    ['a row limit', [front.parse('', read), front.bind(''), front.execute('', 1)]],
    ['a portal with a name', [front.parse('', read), front.bind('', 'p'), front.execute('p')]],
    ['a portal that is not run', [front.parse('', read), front.bind('')]],
    [
      'a value that stands for the time',
      [front.parse('', read), front.bind('', '', ['now']), front.execute()],
    ],
  ])('leaves its replica for %s', async (_what, messages) => {
    const client = connect()
    await client.query('BEGIN')
    await client.query(read)
    client.send(...messages, front.sync)
    await client.ready()
    expect(told('r1')).toEqual(['BEGIN', read, 'ROLLBACK'])
    expect(await client.query(read)).toContain('D primary')
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
  })

  it('moves with its prepared statements', async () => {
    const client = connect()
    client.send(front.parse('w', write), front.parse('r', read), front.sync)
    await client.ready()
    await client.query('BEGIN')
    client.send(front.bind('r'), front.execute(), front.sync)
    expect(await client.ready()).toBe('2 · D r1 · C SELECT 1 · Z T')
    client.send(front.bind('w'), front.execute(), front.sync)
    expect(await client.ready()).toBe('2 · C INSERT 0 1 · Z T')
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })
})

describe('the loss of its replica', () => {
  const replica = () => cluster.serversOf('r1').filter(({ isClosed }) => !isClosed)[0]

  it('between two statements costs the transaction nothing', async () => {
    const client = connect()
    await client.query('BEGIN')
    await client.query('SAVEPOINT a')
    await client.query(read)
    replica()?.die()
    expect(await client.query(write)).toBe('C INSERT 0 1 · Z T')
    expect(told('primary')).toEqual(['BEGIN', 'SAVEPOINT a', snapshot, write])
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    await client.query('BEGIN')
    await client.query(read)
    replica()?.die()
    expect(await client.query(read)).toBe('T · D r1 · C SELECT 1 · Z T')
    replica()?.die()
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('in the middle of a statement runs that on the primary', async () => {
    const client = connect()
    for (const [text, answer] of [
      [read, 'T · D primary · C SELECT 1 · Z T'],
      ['SAVEPOINT b', 'C SAVEPOINT · Z T'],
      ['COMMIT', 'C COMMIT · Z I'],
    ] as const) {
      await client.query('BEGIN')
      await client.query('SAVEPOINT a')
      await client.query('SELECT node() AS first')
      const node = cluster.nodes[1]
      let isLost = false
      cluster.onNode(node, text, () => {
        if (isLost) return null
        isLost = true
        return { hang: true }
      })
      client.send(front.query(text))
      await expect.poll(() => isLost).toBe(true)
      replica()?.die()
      expect(await client.ready(), text).toBe(answer)
      await client.query('ROLLBACK')
    }
    expect(cluster.inUse).toBe(0)
  })

  it('that has answered in part is told, and the transaction is over', async () => {
    const client = connect()
    await client.query('BEGIN')
    await client.query(read)
    cluster.onNode(cluster.nodes[1], 'SELECT rows()', () => ({ rows: [['1']], die: true }))
    expect(await client.query('SELECT rows()')).toBe('T · D 1 · E 08006 · Z E')
    expect(await client.query(write)).toBe('E 25P02 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
  })

  it.each([
    ['40001', 'canceling statement due to conflict with recovery', 'ERROR'],
    ['40001', 'terminating connection due to conflict with recovery', 'FATAL'],
    ['57P01', 'terminating connection due to administrator command', 'FATAL'],
    ['25006', 'cannot execute nextval() in a read-only transaction', 'ERROR'],
    ['0A000', 'cannot access temporary or unlogged relations during recovery', 'ERROR'],
  ])('by %s (%s, %s) is healed at the primary', async (sqlstate, message, severity) => {
    const client = connect()
    await client.query('BEGIN')
    await client.query('SET LOCAL work_mem = 5')
    await client.query(read)
    cluster.onNode(cluster.nodes[1], 'SELECT rows()', () => ({
      error: { sqlstate, message, severity },
      ...(severity === 'FATAL' && { die: true }),
    }))
    cluster.onNode(cluster.nodes[0], 'SELECT rows()', () => ({ rows: [['1']], tag: 'SELECT 1' }))
    expect(await client.query('SELECT rows()')).toBe('T · D 1 · C SELECT 1 · Z T')
    expect(told('primary')).toEqual(['BEGIN', 'SET LOCAL work_mem = 5', snapshot, 'SELECT rows()'])
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('by a promotion leaves it to be moved as before', async () => {
    const client = connect()
    await client.query('BEGIN')
    await client.query(read)
    const [old, next] = cluster.snapshot.nodes
    if (old === undefined || next === undefined) throw new Error('two nodes')
    const primary = { ...next, role: 'primary' as const, readable: false }
    const nodes = [{ ...old, role: 'replica' as const, readable: false }, primary]
    cluster.snapshot = freezeSnapshot({ ...cluster.snapshot, nodes, primary })
    for (const node of cluster.nodes) node.isReplica = node.id === 'primary'
    expect(await client.query(write)).toBe('C INSERT 0 1 · Z T')
    expect(told('r1')).toEqual(['BEGIN', read, 'ROLLBACK', 'BEGIN', snapshot, write])
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
  })

  it('waits for the primary where there is none', async () => {
    const client = connect()
    await client.query('BEGIN')
    await client.query(read)
    cluster.refused.set(0, new Error('refused'))
    expect(await client.query(write)).toBe('E 08006 · Z E')
    expect(await client.query(read)).toBe('E 25P02 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    expect(cluster.inUse).toBe(0)
  })
})
