import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster({ replicas: 2 })
})
afterEach(() => cluster.close())

const execute = (name: string): Buffer =>
  Buffer.concat([front.bind(name), front.execute(), front.sync])

describe('a named statement', () => {
  it('that names others changes nothing in the middle of a segment that has failed', async () => {
    const client = cluster.connect()
    client.send(front.bind('nowhere'), front.run('INSERT INTO items VALUES (1)'), front.flush)
    await client.last('E 26000')
    client.send(front.parse('a', 'DEALLOCATE ALL'), front.sync)
    expect(await client.ready()).toBe('Z I')
    expect(await client.query('ROLLBACK')).toMatch(/C ROLLBACK · Z I$/)
    expect(await client.query('SELECT node()')).toContain('C SELECT 1 · Z I')
  })

  it('works on every server connection, prepared there once', async () => {
    const client = cluster.connect()
    await client.send(front.parse('s', 'SELECT node()'), front.sync).ready()
    const nodes = new Set<string>()
    for (let i = 0; i < 6; i++) {
      const answer = await client.send(execute('s')).ready()
      expect(answer).toMatch(/^2 · D r[12] · C SELECT 1 · Z I$/)
      nodes.add(answer)
    }
    expect(nodes.size).toBe(2)
    for (const server of cluster.servers) expect(server.texts).toEqual(['SELECT node()'])
  })

  it('is shared by clients that say the same under other names', async () => {
    const one = cluster.connect()
    const two = cluster.connect()
    await one.send(front.parse('a', 'INSERT INTO items VALUES (1)'), execute('a')).ready()
    expect(
      await two.send(front.parse('b', 'INSERT INTO items VALUES (1)'), execute('b')).ready(),
    ).toBe('1 · 2 · C INSERT 0 1 · Z I')
    expect(cluster.server('primary').texts).toHaveLength(1)
  })

  it('behind an error is not made, also where the server connection has it already', async () => {
    const insert = 'INSERT INTO items VALUES (1)'
    const one = cluster.connect()
    await one.send(front.parse('a', insert), execute('a')).ready()
    const two = cluster.connect()
    two.send(front.run("SELECT fail('22012')"), front.parse('b', insert), front.sync)
    expect(await two.ready()).toMatch(/E 22012 · Z I$/)
    expect(await two.send(execute('b')).ready()).toBe('E 26000 · Z I')
  })

  it('of one client is not seen by another', async () => {
    const one = cluster.connect()
    const two = cluster.connect()
    await one.send(front.parse('s', 'SELECT node()'), execute('s')).ready()
    expect(await two.send(execute('s')).ready()).toBe('E 26000 · Z I')
    expect(await two.send(execute('pgsplit_1')).ready()).toBe('E 26000 · Z I')
  })

  it('that exists already is refused as the server does it', async () => {
    const client = cluster.connect()
    await client.send(front.parse('s', 'SELECT node()'), front.sync).ready()
    client.send(front.parse('s', 'SELECT rows(1)'), front.bind('s'), front.execute(), front.sync)
    expect(await client.ready()).toBe('E 42P05 · Z I')
    expect(await client.send(execute('s')).ready()).toMatch(/D r[12]/)
  })

  it('whose Parse failed does not exist', async () => {
    const client = cluster.connect()
    expect(await client.send(front.parse('s', 'syntax'), front.sync).ready()).toBe('E 42601 · Z I')
    expect(await client.send(execute('s')).ready()).toBe('E 26000 · Z I')
    expect(await client.send(front.parse('s', 'SELECT node()'), execute('s')).ready()).toContain(
      'D',
    )
  })

  it('whose Parse came behind an error does not exist either', async () => {
    const client = cluster.connect()
    client.send(front.run("SELECT fail('22012')"), front.parse('s', 'SELECT node()'), front.sync)
    expect(await client.ready()).toBe('1 · 2 · E 22012 · Z I')
    expect(await client.send(front.parse('s', 'SELECT node()'), execute('s')).ready()).toContain(
      '1',
    )
  })

  it('whose Parse was lost with its server can be parsed again', async () => {
    const client = cluster.connect()
    cluster.on(/^INSERT/, () => ({ die: true }))
    client.send(front.parse('s', 'INSERT INTO items VALUES (1)'), execute('s'))
    expect(await client.ready()).toContain('E 08007')
    cluster.on(/^INSERT/, () => ({ tag: 'INSERT 0 1' }))
    client.send(front.parse('s', 'INSERT INTO items VALUES (1)'), execute('s'))
    expect(await client.ready()).toBe('1 · 2 · C INSERT 0 1 · Z I')
  })

  it('whose Parse no server could be had for can be parsed again', async () => {
    const client = cluster.connect()
    cluster.refused.set(0, new Error('connection refused'))
    client.send(front.parse('s', 'INSERT INTO items VALUES (1)'), execute('s'))
    expect(await client.ready()).toBe('E 08006 · Z I')
    cluster.refused.clear()
    client.send(front.parse('s', 'INSERT INTO items VALUES (1)'), execute('s'))
    expect(await client.ready()).toBe('1 · 2 · C INSERT 0 1 · Z I')
  })

  it('is closed by Close and by DEALLOCATE, and its name is free again', async () => {
    const client = cluster.connect()
    const parse = front.parse('s', 'SELECT node()')
    await client.send(parse, front.sync).ready()
    expect(await client.send(front.close('S', 's'), parse, front.sync).ready()).toBe('3 · 1 · Z I')
    expect(await client.query('DEALLOCATE s')).toBe('C DEALLOCATE · Z I')
    expect(await client.send(execute('s')).ready()).toBe('E 26000 · Z I')
    await client.send(parse, front.sync).ready()
    expect(await client.query('DEALLOCATE ALL')).toBe('C DEALLOCATE ALL · Z I')
    expect(await client.send(execute('s')).ready()).toBe('E 26000 · Z I')
  })

  it('of another client survives a DEALLOCATE ALL in a transaction on the same connection', async () => {
    const one = cluster.connect()
    const two = cluster.connect()
    const text = 'INSERT INTO items VALUES (1)'
    await one.send(front.parse('s', text), execute('s')).ready()
    await two.query('BEGIN; INSERT INTO items VALUES (1)')
    expect(await two.query('DEALLOCATE ALL')).toBe('C DEALLOCATE ALL · Z T')
    await two.query('COMMIT')
    expect(await one.send(execute('s')).ready()).toBe('2 · C INSERT 0 1 · Z I')
  })

  it('that its server connection has forgotten is prepared again', async () => {
    const client = cluster.connect()
    await client.send(front.parse('s', 'SELECT node()'), execute('s')).ready()
    for (const server of cluster.servers) server.statements.clear()
    for (let i = 0; i < 3; i++) {
      expect(await client.send(execute('s')).ready()).toMatch(/^2 · D r[12] · C SELECT 1 · Z I$/)
    }
  })

  it('can be parsed anew after its result type has changed', async () => {
    const client = cluster.connect()
    let isStale = true
    const error = {
      sqlstate: '0A000',
      message: 'cached plan must not change result type',
      routine: 'RevalidateCachedQuery',
    }
    await client.query('BEGIN')
    await client.send(front.parse('s', 'SELECT node()'), execute('s')).ready()
    cluster.on('SELECT node()', () => (isStale ? { error } : null))
    expect(await client.send(execute('s')).ready()).toBe('2 · E 0A000 · Z E')
    await client.query('ROLLBACK')
    const server = cluster.server('primary')
    isStale = false
    await client.query('BEGIN')
    client.send(front.close('S', 's'), front.parse('s', 'SELECT node()'), execute('s'))
    expect(await client.ready()).toBe('3 · 1 · 2 · D primary · C SELECT 1 · Z T')
    expect(server.texts.filter((text) => text === 'SELECT node()')).toHaveLength(2)
  })

  it('whose result type has changed is of use again to all who share it, once it is parsed anew', async () => {
    const one = cluster.connect()
    const two = cluster.connect()
    const text = 'INSERT INTO items VALUES (1) RETURNING *'
    const error = {
      sqlstate: '0A000',
      message: 'cached plan must not change result type',
      routine: 'RevalidateCachedQuery',
    }
    await one.send(front.parse('s', text), execute('s')).ready()
    await two.send(front.parse('s', text), execute('s')).ready()
    const stale = new Set(cluster.server('primary').statements.keys())
    cluster.on(text, (_, server) =>
      [...server.statements].some(([name, sql]) => sql === text && stale.has(name))
        ? { error }
        : null,
    )
    expect(await one.send(execute('s')).ready()).toBe('2 · E 0A000 · Z I')
    stale.clear()
    one.send(front.close('S', 's'), front.parse('s', text), execute('s'))
    expect(await one.ready()).toMatch(/^3 · 1 · 2 · C INSERT 0 1 · Z I$/)
    const parses = cluster.server('primary').texts.filter((sql) => sql === text)
    expect(parses).toHaveLength(2)
  })

  it('is closed on its server connection when there are too many', async () => {
    cluster = new ScriptedCluster({ limits: { preparedStatements: 3 } })
    const client = cluster.connect()
    for (let i = 0; i < 10; i++) {
      client.send(front.parse(`s${i}`, `INSERT INTO items VALUES ('${i}')`), execute(`s${i}`))
      await client.ready()
    }
    for (let i = 0; i < 10; i++) {
      expect(await client.send(execute(`s${i}`)).ready()).toBe('2 · C INSERT 0 1 · Z I')
    }
    expect(cluster.server('primary').statements.size).toBeLessThanOrEqual(4)
  })
})

describe('the unnamed statement', () => {
  it('lives across Sync, on whatever connection', async () => {
    const client = cluster.connect()
    await client.send(front.parse('', 'SELECT node()'), front.sync).ready()
    for (let i = 0; i < 4; i++) {
      expect(await client.send(execute('')).ready()).toMatch(/^2 · D r[12] · C SELECT 1 · Z I$/)
    }
  })

  it('is the session’s own on a connection that others use', async () => {
    const one = cluster.connect()
    const two = cluster.connect()
    await one.send(front.parse('', 'INSERT INTO items VALUES (1)'), front.sync).ready()
    await two.send(front.parse('', 'DELETE FROM items'), front.sync).ready()
    expect(await one.send(execute('')).ready()).toBe('2 · C INSERT 0 1 · Z I')
    expect(await two.send(execute('')).ready()).toBe('2 · C DELETE · Z I')
  })

  it('used and then replaced in one segment is the old one, then the new one', async () => {
    const one = cluster.connect()
    const two = cluster.connect()
    await one.send(front.parse('', 'INSERT INTO items VALUES (1)'), front.sync).ready()
    await two.send(front.parse('', 'UPDATE items SET a = 1'), front.sync).ready()
    one.send(front.bind(''), front.execute(), front.run('DELETE FROM items'), front.sync)
    expect(await one.ready()).toBe('2 · C INSERT 0 1 · 1 · 2 · C DELETE · Z I')
  })

  it('that was never parsed does not exist', async () => {
    const client = cluster.connect()
    const other = cluster.connect()
    await other.send(front.parse('', 'SELECT node()'), front.sync).ready()
    expect(await client.send(execute('')).ready()).toBe('E 26000 · Z I')
  })
})
