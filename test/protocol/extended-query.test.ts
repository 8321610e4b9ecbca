import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster()
})
afterEach(() => cluster.close())

describe('an extended query', () => {
  it('goes where its class says', async () => {
    const client = cluster.connect()
    client.send(front.parse('', 'SELECT node()'), front.bind(''), front.describe('P'))
    expect(await client.send(front.execute(), front.sync).ready()).toBe(
      '1 · 2 · T · D r1 · C SELECT 1 · Z I',
    )
    expect(await client.run('INSERT INTO items VALUES (1)')).toBe('1 · 2 · C INSERT 0 1 · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('without Execute is described where it would run', async () => {
    const client = cluster.connect()
    client.send(front.parse('', 'SELECT node()'), front.describe('S'), front.sync)
    expect(await client.ready()).toBe('1 · t · T · Z I')
    expect(await client.send(front.bind(''), front.execute(), front.sync).ready()).toBe(
      '2 · D r1 · C SELECT 1 · Z I',
    )
  })

  it('that is empty is answered with EmptyQueryResponse', async () => {
    const client = cluster.connect()
    expect(await client.run('')).toBe('1 · 2 · I · Z I')
    expect(await client.run('-- nothing')).toBe('1 · 2 · I · Z I')
  })

  it('answers a Sync alone, in any state', async () => {
    const client = cluster.connect()
    expect(await client.send(front.sync).ready()).toBe('Z I')
    expect(await client.send(front.sync, front.sync).ready(2)).toBe('Z I · Z I')
    await client.query('BEGIN')
    expect(await client.send(front.sync).ready()).toBe('Z T')
    await client.query('INSERT INTO items VALUES (1)')
    expect(await client.send(front.sync).ready()).toBe('Z T')
    await client.query("SELECT fail('22012')")
    expect(await client.send(front.sync).ready()).toBe('Z E')
    await client.query('ROLLBACK')
    expect(cluster.inUse).toBe(0)
  })

  it('ignores a Flush alone', async () => {
    const client = cluster.connect()
    expect(await client.send(front.flush, front.sync).ready()).toBe('Z I')
  })

  it('is answered at Flush, before its Sync', async () => {
    const client = cluster.connect()
    client.send(front.run('SELECT node()'), front.flush)
    expect(await client.last('C SELECT 1')).toBe('1 · 2 · D primary · C SELECT 1')
    expect(await client.send(front.sync).ready()).toBe('Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('that is long goes out before its Sync', async () => {
    const client = cluster.connect()
    const long = `SELECT node() -- ${'x'.repeat(1_100_000)}`
    expect(await client.send(front.parse('', long)).last('1')).toBe('1')
    client.send(front.bind(''), front.execute(), front.sync)
    expect(await client.ready()).toMatch(/^2 · D \w+ · C SELECT 1 · Z I$/)
    expect(cluster.inUse).toBe(0)
  })

  it('may go on behind a Flush with what only the primary can do', async () => {
    const client = cluster.connect()
    client.send(front.run('SELECT node()'), front.flush)
    await client.last('C SELECT 1')
    client.send(front.run('INSERT INTO items VALUES (1)'), front.flush)
    expect(await client.last('C INSERT 0 1')).toBe('1 · 2 · C INSERT 0 1')
    expect(await client.send(front.sync).ready()).toBe('Z I')
  })

  it('that is only prepared before a Flush may run on a replica', async () => {
    const client = cluster.connect()
    client.send(front.parse('s', 'SELECT node()'), front.describe('S', 's'), front.flush)
    expect(await client.last('T')).toBe('1 · t · T')
    expect(await client.send(front.bind('s'), front.execute(), front.sync).ready()).toBe(
      '2 · D r1 · C SELECT 1 · Z I',
    )
    expect(cluster.inUse).toBe(0)
  })

  it('that is only prepared before a Flush goes on at the primary when it turns out to write', async () => {
    const client = cluster.connect()
    client.send(front.parse('s', 'SELECT node()'), front.describe('S', 's'), front.flush)
    client.send(front.bind('s'), front.execute(), front.run('INSERT INTO items VALUES (1)'))
    expect(await client.send(front.sync).ready()).toBe(
      '1 · t · T · 2 · D primary · C SELECT 1 · 1 · 2 · C INSERT 0 1 · Z I',
    )
    client.send(front.parse('', 'SELECT node()'), front.bind(''), front.describe('P'), front.flush)
    expect(await client.last('T')).toBe('1 · 2 · T')
    client.send(front.execute(), front.flush)
    expect(await client.last('C SELECT 1')).toBe('D primary · C SELECT 1')
    client.send(front.run('INSERT INTO items VALUES (1)'), front.flush)
    expect(await client.last('C INSERT 0 1')).toBe('1 · 2 · C INSERT 0 1')
    expect(await client.send(front.sync).ready()).toBe('Z I')
    expect(client.unseen).toBe('')
    expect(cluster.inUse).toBe(0)
    expect(cluster.servers.every(({ complaint }) => complaint === null)).toBe(true)
  })

  it('that fails before its Flush stays where it is, whatever comes behind', async () => {
    const client = cluster.connect()
    client.send(front.parse('', 'SELECT node()'), front.bind('missing'), front.flush)
    client.send(front.run('INSERT INTO items VALUES (1)'), front.sync)
    expect(await client.ready()).toBe('1 · E 26000 · Z I')
    expect(await client.run('SELECT node()')).toContain('D ')
    expect(cluster.inUse).toBe(0)
  })

  it('that fails while its Query waits to move is skipped up to Sync', async () => {
    const client = cluster.connect()
    client.send(front.execute('missing'), front.flush, front.query('INSERT INTO items VALUES (1)'))
    client.send(front.query('SELECT node()'), front.sync, front.sync)
    expect(await client.ready(2)).toBe('E 34000 · Z I · Z I')
    expect(await client.query('SELECT node()')).toContain('D ')
    expect(client.unseen).toBe('')
    expect(cluster.inUse).toBe(0)
  })

  it('says at Flush that a statement is closed, though nothing is sent behind it', async () => {
    const client = cluster.connect()
    client.send(front.parse('s', 'SELECT node()'), front.close('S', 's'), front.flush)
    expect(await client.last('3')).toBe('1 · 3')
    expect(await client.send(front.sync).ready()).toBe('Z I')
  })

  it('answers what only pgsplit knows at Flush, too', async () => {
    const client = cluster.connect()
    await client.send(front.parse('s', 'SELECT node()'), front.sync).ready()
    client.send(front.close('S', 's'), front.parse('s', 'SELECT node()'), front.flush)
    expect(await client.last('1')).toBe('3 · 1')
    expect(await client.send(front.sync).ready()).toBe('Z I')
  })

  it('waits for the client behind a Flush, and is given up with it', async () => {
    const client = cluster.connect()
    client.send(front.run('INSERT INTO items VALUES (1)'), front.flush)
    await client.last('C INSERT 0 1')
    const server = cluster.server('primary')
    client.vanish()
    await expect.poll(() => server.isClosed).toBe(true)
    expect(cluster.inUse).toBe(0)
  })
})

describe('skip-until-Sync', () => {
  it('after a failed Parse nothing is answered until Sync', async () => {
    const client = cluster.connect()
    client.send(front.run('syntax error'), front.run('SELECT node()'), front.sync)
    expect(await client.ready()).toBe('E 42601 · Z I')
    expect(await client.run('SELECT node()')).toContain('D ')
  })

  it('a Query inside the window is dropped and gets no ReadyForQuery', async () => {
    const client = cluster.connect()
    client.send(
      front.parse('', 'syntax error'),
      front.query('SELECT node()'),
      front.query('SELECT node()'),
      front.run('SELECT node()'),
      front.sync,
      front.query('SELECT rows(1)'),
    )
    expect(await client.ready(2)).toBe('E 42601 · Z I · T · D 0 · C SELECT 1 · Z I')
    expect(cluster.inUse).toBe(0)
    expect(cluster.servers.every(({ complaint }) => complaint === null)).toBe(true)
  })

  it('each of several segments has its own window', async () => {
    const client = cluster.connect()
    client.send(
      front.run('syntax error'),
      front.sync,
      front.run('SELECT node()'),
      front.sync,
      front.run("SELECT fail('22012')"),
      front.run('SELECT node()'),
      front.sync,
      front.sync,
    )
    expect(await client.ready(4)).toMatch(
      /^E 42601 · Z I · 1 · 2 · D \w+ · C SELECT 1 · Z I · 1 · 2 · E 22012 · Z I · Z I$/,
    )
    expect(cluster.inUse).toBe(0)
  })

  it('holds for an error of pgsplit before a Sync that has not come', async () => {
    cluster = new ScriptedCluster({ replicas: 0 })
    cluster.refused.set(0, new Error('connection refused'))
    const client = cluster.connect()
    client.send(front.run('INSERT INTO items VALUES (1)'), front.flush)
    await client.last('E 08006')
    client.send(front.run('SELECT 1'), front.flush, front.query('SELECT 1'), front.sync)
    expect(await client.ready()).toBe('Z I')
  })
})

describe('a Query in the middle of a segment', () => {
  it('ends it with its own ReadyForQuery', async () => {
    const client = cluster.connect()
    client.send(front.run('SELECT node()'), front.query('SELECT rows(1)'))
    expect(await client.ready()).toMatch(
      /^1 · 2 · D \w+ · C SELECT 1 · T · D 0 · C SELECT 1 · Z I$/,
    )
    expect(await client.send(front.sync).ready()).toBe('Z I')
    // What PostgreSQL says next ("unexpected state STARTED") is for this client to hear.
    expect(await client.query('SELECT node()')).toContain('C SELECT 1 · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('does not take a write in front of it to a replica', async () => {
    const client = cluster.connect()
    client.send(front.run('INSERT INTO items VALUES (1)'), front.query('SELECT node()'))
    expect(await client.ready()).toBe('1 · 2 · C INSERT 0 1 · T · D primary · C SELECT 1 · Z I')
  })

  it('drops the unnamed statement for those that come behind', async () => {
    const client = cluster.connect()
    client.send(front.parse('', 'SELECT node()'), front.query('SELECT rows(1)'))
    expect(await client.ready()).toBe('1 · T · D 0 · C SELECT 1 · Z I')
    client.send(front.run('SELECT rows(1)'), front.sync)
    expect(await client.ready()).toBe('1 · 2 · D 0 · C SELECT 1 · Z I')
  })

  it('may be a FunctionCall', async () => {
    const client = cluster.connect()
    client.send(front.run('SELECT node()'), front.functionCall(1))
    expect(await client.ready()).toBe('1 · 2 · D primary · C SELECT 1 · V · Z I')
  })
})

describe('a portal', () => {
  it('is suspended by maxRows and goes on in its transaction', async () => {
    const client = cluster.connect()
    await client.query('BEGIN')
    client.send(front.parse('', 'SELECT rows(3)'), front.bind('', 'p'), front.execute('p', 2))
    expect(await client.send(front.sync).ready()).toBe('1 · 2 · D 0 · D 1 · s · Z T')
    expect(await client.send(front.execute('p', 2), front.sync).ready()).toBe(
      'D 2 · C SELECT 3 · Z T',
    )
    await client.query('COMMIT')
    expect(cluster.inUse).toBe(0)
  })

  it('is suspended and goes on in one segment by Flush', async () => {
    const client = cluster.connect()
    client.send(front.parse('', 'SELECT rows(3)'), front.bind(''), front.execute('', 2))
    expect(await client.send(front.flush).last('s')).toBe('1 · 2 · D 0 · D 1 · s')
    expect(await client.send(front.execute('', 2), front.sync).ready()).toBe(
      'D 2 · C SELECT 3 · Z I',
    )
  })

  it('dies at Sync outside a transaction', async () => {
    const client = cluster.connect()
    client.send(front.parse('', 'SELECT rows(3)'), front.bind('', 'p'), front.execute('p', 2))
    await client.send(front.sync).ready()
    expect(await client.send(front.execute('p', 2), front.sync).ready()).toBe('E 34000 · Z I')
    expect(client.session.portals.hasNamed).toBe(false)
  })

  it('is closed by Close, as one that never was', async () => {
    const client = cluster.connect()
    await client.query('BEGIN')
    client.send(front.parse('', 'SELECT rows(3)'), front.bind('', 'p'), front.sync)
    await client.ready()
    client.send(front.close('P', 'p'), front.close('P', 'q'), front.sync)
    expect(await client.ready()).toBe('3 · 3 · Z T')
  })
})

describe('Close', () => {
  it('of names that do not exist succeeds', async () => {
    const client = cluster.connect()
    client.send(front.close('S', 'nothing'), front.close('S'), front.close('P', 'x'), front.sync)
    expect(await client.ready()).toBe('3 · 3 · 3 · Z I')
  })

  it('behind a failed Parse is skipped', async () => {
    const client = cluster.connect()
    client.send(front.parse('s', 'syntax error'), front.close('S', 's'), front.sync)
    expect(await client.ready()).toBe('E 42601 · Z I')
    client.send(front.parse('s', 'SELECT node()'), front.sync)
    expect(await client.ready()).toBe('1 · Z I')
  })
})

describe('a segment', () => {
  it('that never ends is ended: what is kept of each message is bounded', async () => {
    const client = cluster.connect()
    const three = front.run('SELECT node()')
    client.send(...Array.from({ length: 300 }, () => three))
    client.send(front.sync)
    expect(await client.ready()).toMatch(/C SELECT 1 · Z I$/)
    client.send(...Array.from({ length: 400 }, () => three))
    expect(await client.closed()).toMatch(/E 54000$/)
    await expect.poll(() => cluster.inUse).toBe(0)
  })
})
