import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { back, front } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster()
})
afterEach(() => cluster.close())

describe('a setting', () => {
  it('is replayed on whichever node serves next, unseen by the client', async () => {
    const client = cluster.connect()
    expect(await client.query("SET application_name = 'psql'")).toBe(
      'S application_name=psql · C SET · Z I',
    )
    expect(await client.query('SELECT node()')).toBe('T · D r1 · C SELECT 1 · Z I')
    expect(cluster.server('r1').settings.get('application_name')).toBe('psql')
    expect(cluster.inUse).toBe(0)
  })

  it('of the startup packet holds on every node, and is what RESET goes back to', async () => {
    const client = cluster.connect({ settings: { work_mem: '9' } })
    await client.query('SELECT node()')
    expect(cluster.server('r1').settings.get('work_mem')).toBe('9')
    await client.query('SET work_mem = 10')
    expect(await client.query('SHOW work_mem')).toContain('D 10')
    await client.query('RESET work_mem')
    expect(await client.query('SHOW work_mem')).toContain('D 9')
    await client.query('SET work_mem = 11')
    await client.query('RESET ALL')
    expect(await client.query('SHOW work_mem')).toContain('D 9')
    await client.query('SET work_mem = 12')
    expect(await client.query('DISCARD ALL')).toBe('C DISCARD ALL · Z I')
    expect(await client.query('SHOW work_mem')).toContain('D 9')
  })

  it('goes back to the startup value at once, inside a transaction, too', async () => {
    const client = cluster.connect({ settings: { work_mem: '9' } })
    await client.query('BEGIN')
    await client.query('SET work_mem = 10')
    await client.query('RESET work_mem')
    expect(await client.query('SHOW work_mem')).toContain('D 9')
    await client.query('COMMIT')
    expect(await client.query('SHOW work_mem')).toContain('D 9')
  })

  it('of one client is never seen by the next user of its server connection', async () => {
    const one = cluster.connect()
    const two = cluster.connect()
    await one.query("SET work_mem = '9'")
    await one.query('INSERT INTO items VALUES (1)')
    await one.query('SELECT node()')
    expect(await two.query('SHOW work_mem')).toContain('D default')
    await two.query('SELECT node()')
    expect(cluster.servers).toHaveLength(2)
    for (const server of cluster.servers) expect(server.settings.has('work_mem')).toBe(false)
    await one.query('SELECT node()')
    expect(cluster.server('r1').settings.get('work_mem')).toBe('9')
  })

  it('of its own name stays known to a server for good: nobody else who does not know it comes there', async () => {
    const one = cluster.connect()
    await one.query("SET my.tenant = 'acme'")
    await one.query('SELECT node()')
    const known = [...cluster.servers]
    const two = cluster.connect()
    expect(await two.query('SHOW my.tenant')).toContain('D default')
    await two.query('SELECT node()')
    expect(cluster.servers).toHaveLength(4)
    for (const server of known) expect(server.settings.get('my.tenant')).toBe('acme')
    // Who sets it first may go to any, and stays where it is known.
    const three = cluster.connect()
    await three.query("SET my.tenant = 'other'")
    await three.query('SELECT node()')
    await three.query('RESET my.tenant')
    await three.query('SELECT node()')
    expect(cluster.servers).toHaveLength(4)
    for (const server of known) expect(server.settings.get('my.tenant')).not.toBe('acme')
  })

  it('of its own name is left known by SET LOCAL and by a rollback, too', async () => {
    for (const [i, end] of ['ROLLBACK', 'COMMIT'].entries()) {
      const one = cluster.connect()
      await one.query('BEGIN')
      await one.query(`SET LOCAL my.own${i} = 'acme'`)
      await one.query(end)
      const before = cluster.servers.length
      await cluster.connect().query('INSERT INTO items VALUES (1)')
      expect(cluster.servers).toHaveLength(before + 1)
    }
  })

  it('is not seen by a reader who shares a connection in a pipeline either', async () => {
    const seen: string[] = []
    cluster.on('SELECT node()', (_, server) => {
      seen.push(server.settings.get('my.tenant') ?? 'none')
      return { rows: [[server.settings.get('my.tenant') ?? 'none']], tag: 'SELECT 1' }
    })
    const clients = ['a', 'b', 'c', 'd'].map((tenant) =>
      cluster.connect({ settings: { 'my.tenant': tenant } }),
    )
    for (let round = 0; round < 12; round++) {
      const answers = await Promise.all(clients.map((client) => client.query('SELECT node()')))
      expect(answers.map((answer) => answer.slice(6, 7))).toEqual(['a', 'b', 'c', 'd'])
    }
    expect(cluster.inUse).toBe(0)
  })

  it('is taken back by ROLLBACK, by ROLLBACK TO, and by a failed COMMIT', async () => {
    const client = cluster.connect()
    await client.query('SET work_mem = 1')
    await client.query('BEGIN')
    await client.query('SET work_mem = 2')
    await client.query('SAVEPOINT s')
    await client.query('SET work_mem = 3')
    await client.query('ROLLBACK TO SAVEPOINT s')
    expect(client.session.state.get('work_mem')).toBe('2')
    await client.query('ROLLBACK')
    expect(await client.query('SHOW work_mem')).toContain('D 1')
    await client.query('BEGIN')
    await client.query('SET work_mem = 4')
    await client.query("SELECT fail('22012')")
    expect(await client.query('COMMIT')).toBe('C ROLLBACK · Z I')
    expect(await client.query('SHOW work_mem')).toContain('D 1')
    expect(client.session.state.get('work_mem')).toBe('1')
  })

  it('in a text that fails is taken back', async () => {
    const client = cluster.connect()
    expect(await client.query("SET work_mem = 5; SELECT fail('22012')")).toBe(
      'C SET · E 22012 · Z I',
    )
    expect(await client.query('SHOW work_mem')).toContain('D default')
  })

  it('that a replica refuses is no error: its reads run elsewhere, and do not try each time', async () => {
    const client = cluster.connect()
    await client.query('SET work_mem = 5')
    const error = { sqlstate: '22023', message: 'invalid value' }
    let tries = 0
    for (const node of cluster.nodes.slice(1)) {
      cluster.onNode(node, /^replay work_mem/, () => {
        tries++
        return { error }
      })
    }
    for (let i = 0; i < 20; i++) {
      expect(await client.query('SELECT node()')).toContain('D primary')
    }
    expect(tries).toBeLessThan(5)
    await client.query('BEGIN READ ONLY')
    expect(await client.query('SELECT node()')).toContain('D primary')
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.serversOf('r1').flatMap(({ texts }) => texts)).not.toContain('SELECT node()')
    expect(cluster.inUse).toBe(0)
    await client.query('RESET work_mem')
    expect(await client.query('SELECT node()')).toContain('D r1')
  })

  it('whose value the text does not show pins the session to its connection', async () => {
    const client = cluster.connect()
    await client.query("SET my.x = E'a\\\\b'")
    expect(await client.query('SHOW pgsplit.pin')).toContain('my.x')
    expect(await client.query('SELECT node()')).toContain('D primary')
    expect(cluster.inUse).toBe(1)
  })

  it('by set_config is tracked with its exact value', async () => {
    const client = cluster.connect()
    await client.query("SELECT pg_catalog.set_config('search_path', '', false)")
    expect(client.session.state.get('search_path')).toBe('')
    await client.query('SELECT node()')
    expect(cluster.server('r1').settings.get('search_path')).toBe('')
  })

  it('of pgsplit’s own goes back to its default with DISCARD ALL and RESET ALL', async () => {
    const client = cluster.connect()
    await client.query("SET pgsplit.route = 'primary'")
    expect(await client.query('SELECT node()')).toContain('D primary')
    await client.query('DISCARD ALL')
    expect(await client.query('SELECT node()')).toContain('D r1')
    await client.query("SET pgsplit.route = 'primary'")
    await client.query('RESET ALL')
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(await client.query("SET pgsplit.route = 'nowhere'")).toBe('E 22023 · Z I')
    expect(await client.query('SHOW pgsplit.nothing')).toBe('E 42704 · Z I')
  })
})

describe('a pin', () => {
  it('by LISTEN holds until UNLISTEN *, and notifications arrive meanwhile', async () => {
    const client = cluster.connect()
    await client.query('LISTEN news')
    expect(await client.query('SELECT node()')).toContain('D primary')
    const server = cluster.server('primary')
    server.say(back.notification(1, 'news', 'hello'))
    expect(await client.last('A news')).toBe('A news')
    await client.query('UNLISTEN *')
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(cluster.inUse).toBe(0)
  })

  it('by LISTEN survives an UNLISTEN that is rolled back', async () => {
    const client = cluster.connect()
    await client.query('LISTEN news')
    await client.query('BEGIN')
    await client.query('UNLISTEN *')
    await client.query('ROLLBACK')
    expect(cluster.inUse).toBe(1)
    await client.query('BEGIN')
    await client.query('UNLISTEN *')
    await client.query('COMMIT')
    expect(cluster.inUse).toBe(0)
  })

  it('keeps a notification out of the middle of a row', async () => {
    const client = cluster.connect()
    await client.query('LISTEN news')
    const row = 'x'.repeat(300_000)
    cluster.on('SELECT rows(1)', () => ({
      rows: [[row]],
      after: back.notification(1, 'news', 'hello'),
      tag: 'SELECT 1',
    }))
    expect(await client.query('SELECT rows(1)')).toBe(
      'T · D 300000 bytes · A news · C SELECT 1 · Z I',
    )
  })

  it('ends with DISCARD ALL', async () => {
    const client = cluster.connect()
    await client.query('CREATE TEMP TABLE x (a int)')
    expect(cluster.inUse).toBe(1)
    expect(await client.query('SHOW pgsplit.pin')).toContain('temp')
    expect(await client.query('DISCARD ALL')).toBe('C DISCARD ALL · Z I')
    expect(cluster.inUse).toBe(0)
    expect(await client.query('SELECT node()')).toContain('D r1')
  })

  it('by a session advisory lock ends with pg_advisory_unlock_all', async () => {
    const client = cluster.connect()
    await client.query('SELECT pg_advisory_lock(1)')
    expect(await client.query('SELECT node()')).toContain('D primary')
    await client.query('SELECT pg_advisory_unlock_all()')
    expect(cluster.inUse).toBe(0)
  })

  it('holds for what an error does not take back', async () => {
    const client = cluster.connect()
    expect(await client.query("SELECT pg_advisory_lock(1); SELECT fail('22012')")).toContain(
      'E 22012 · Z I',
    )
    expect(cluster.inUse).toBe(1)
  })

  it('of a client that leaves closes the server connection', async () => {
    const client = cluster.connect()
    await client.query('LISTEN news')
    const server = cluster.server('primary')
    client.send(front.terminate)
    await client.closed()
    await expect.poll(() => server.isClosed).toBe(true)
    expect(cluster.inUse).toBe(0)
  })

  it('whose connection is lost ends the client, at once', async () => {
    const client = cluster.connect()
    await client.query('CREATE TEMP TABLE x (a int)')
    cluster.server('primary').die()
    expect(await client.closed()).toBe('E 57P01')
    expect(cluster.inUse).toBe(0)
  })

  it('shows parameters that the server reports while nobody asks', async () => {
    const client = cluster.connect()
    await client.query('LISTEN news')
    const { parameterStatus } = await import('../../src/wire/backend-messages.ts')
    cluster.server('primary').say(parameterStatus('TimeZone', 'UTC'))
    expect(await client.last('S TimeZone=UTC')).toBe('S TimeZone=UTC')
  })
})

describe('poolMode session', () => {
  it('keeps one connection per node until the client leaves', async () => {
    cluster = new ScriptedCluster({ limits: { poolMode: 'session' } })
    const client = cluster.connect()
    const pids = new Set<string>()
    for (let i = 0; i < 4; i++) pids.add(await client.query('SELECT pid()'))
    await client.query('INSERT INTO items VALUES (1)')
    expect(pids.size).toBe(1)
    expect(cluster.inUse).toBe(2)
    const other = cluster.connect()
    expect(pids.has(await other.query('SELECT pid()'))).toBe(false)
    client.send(front.terminate)
    await client.closed()
    expect(cluster.inUse).toBe(1)
  })

  it('follows settings from node to node', async () => {
    cluster = new ScriptedCluster({ limits: { poolMode: 'session' } })
    const client = cluster.connect()
    await client.query('SELECT node()')
    await client.query('SET my.x = 1')
    await client.query('SELECT node()')
    expect(cluster.server('r1').settings.get('my.x')).toBe('1')
    await client.query('RESET my.x')
    await client.query('SELECT node()')
    expect(cluster.server('r1').settings.has('my.x')).toBe(false)
  })
})
