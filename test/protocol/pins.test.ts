import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { refreshFacts } from '../../src/client/setting-effects.ts'
import { Classifier } from '../../src/sql/classifier.ts'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'
import type { Outcome } from '../support/scripted-server.ts'
import { isCutShort } from '../support/turns.ts'

/** What asks for what there is on the server, and for values of settings. */
const counts = /^SELECT \(SELECT pg_catalog\.count/
const values = /^WITH p AS MATERIALIZED/

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster()
})
afterEach(() => cluster.close())

const row = (...columns: (string | null)[]): Outcome => ({ rows: [columns], tag: 'SELECT 1' })

/** How often the server was asked. */
function asked(): number {
  return cluster.servers.flatMap(({ texts }) => texts).filter((text) => text.includes('pgsplit:'))
    .length
}

describe('a pinned session', () => {
  it('is free as soon as the server says that nothing is left', async () => {
    let left = '1'
    cluster.on(counts, () => row(left))
    const client = cluster.connect()
    await client.query('CREATE TEMP TABLE x (a int)')
    await expect.poll(asked).toBe(1)
    expect(await client.query('SELECT node()')).toContain('D primary')
    left = '0'
    expect(await client.query('DROP TABLE x')).toBe('C DROP · Z I')
    await expect.poll(() => cluster.inUse).toBe(0)
    expect(asked()).toBe(2)
    expect(await client.query('SHOW pgsplit.pin')).toBe('T · D  · C SHOW · Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
  })

  it('is asked about behind its transaction, never in it', async () => {
    cluster.on(counts, () => row('0'))
    const client = cluster.connect()
    await client.query('BEGIN')
    await client.query('SELECT pg_advisory_lock(1)')
    await client.query('SELECT pg_advisory_unlock(1)')
    await client.query('SELECT node()')
    expect(asked()).toBe(0)
    await client.query('COMMIT')
    await expect.poll(() => cluster.inUse).toBe(0)
    expect(asked()).toBe(1)
  })

  it('does not wait for the answer: what it sends meanwhile runs behind the question', async () => {
    let isHanging = true
    cluster.on(counts, () => (isHanging ? { hang: true } : row('0')))
    const client = cluster.connect()
    await client.query('SELECT pg_advisory_lock(1)')
    await expect.poll(asked).toBe(1)
    client.send(front.query('SELECT pg_advisory_lock(2)'))
    const server = cluster.server('primary')
    isHanging = false
    cluster.on(counts, () => row('1'))
    server.go()
    expect(await client.ready()).toContain('C SELECT 1 · Z I')
    await expect.poll(asked).toBe(2)
    expect(await client.query('SHOW pgsplit.pin')).toContain('session advisory lock')
    expect(cluster.serversOf('primary')).toHaveLength(1)
  })

  it.each([
    ['an error', { error: { sqlstate: '57014', message: 'canceled' } }],
    ['other columns', row('0', '0')],
    ['no number', row('none')],
    ['nothing', { rows: [], tag: 'SELECT 0' }],
  ] as const)('stays pinned when the answer is %s', async (_, outcome) => {
    cluster.on(counts, () => outcome as Outcome)
    const client = cluster.connect()
    await client.query('SELECT pg_advisory_lock(1)')
    await expect.poll(asked).toBe(1)
    expect(await client.query('SELECT node()')).toContain('D primary')
    expect(await client.query('SHOW pgsplit.pin')).toContain('session advisory lock')
    // Nobody asks over and over.
    expect(asked()).toBe(1)
    cluster.on(counts, () => row('0'))
    await client.query('SELECT pg_advisory_unlock(1)')
    await expect.poll(() => cluster.inUse).toBe(0)
  })

  it('that is lost while it is being asked about hears of it', async () => {
    cluster.on(counts, () => ({ die: true }))
    const client = cluster.connect()
    client.send(front.query('CREATE TEMP TABLE x (a int)'))
    expect(await client.closed()).toBe('C CREATE · Z I · E 57P01')
    expect(cluster.inUse).toBe(0)
  })

  it('that leaves while it is being asked about leaves nothing behind', async () => {
    cluster.on(counts, () => ({ hang: true }))
    const client = cluster.connect()
    await client.query('CREATE TEMP TABLE x (a int)')
    await expect.poll(asked).toBe(1)
    client.send(front.terminate)
    await client.closed()
    await expect.poll(() => cluster.inUse).toBe(0)
    expect(cluster.connections.every(({ isClosed }) => isClosed)).toBe(true)
  })
})

describe('search_path with the temporary schema', () => {
  it.skipIf(isCutShort)(
    'set in a READ ONLY transaction on a replica takes the session to the primary behind it',
    async () => {
      cluster.on(counts, () => row('0'))
      const client = cluster.connect()
      await client.query('BEGIN READ ONLY')
      expect(await client.query('SELECT node()')).toContain('D r1')
      await client.query('SET search_path = pg_temp')
      await client.query('COMMIT')
      expect(await client.query('SELECT node()')).toContain('D primary')
      expect(client.session.pinReason).toBe('search_path names the temporary schema')
      await client.query('RESET search_path')
      await expect.poll(() => cluster.inUse).toBe(0)
      expect(await client.query('SELECT node()')).toContain('D r1')
    },
  )

  it('of the startup packet does so from the first statement on', async () => {
    const client = cluster.connect({ settings: { search_path: 'pg_temp' } })
    refreshFacts(client.session)
    expect(await client.query('SELECT node()')).toContain('D primary')
  })
})

describe('a setting whose value the text does not show', () => {
  it('is asked for and then replayed like any other, long and in whatever bytes', async () => {
    const long = 'ö'.repeat(300)
    cluster.on(values, () => row('my.x', long, null, 'f'))
    const client = cluster.connect()
    await client.query("SELECT set_config('my.x', repeat(chr(246), 300), false)")
    await expect.poll(() => cluster.inUse).toBe(0)
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(cluster.server('r1').settings.get('my.x')).toBe(long)
  })

  it('comes from the Bind without asking, name and all', async () => {
    const client = cluster.connect()
    const text = 'SELECT set_config($1, $2, false)'
    client.send(front.parse('s', text), front.sync)
    await client.ready()
    for (const value of ['one', 'two']) {
      client.send(front.bind('s', '', ['My.X', value]), front.execute(), front.sync)
      await client.ready()
      expect(client.session.state.get('my.x')).toBe(value)
      expect(cluster.inUse).toBe(0)
      await client.query('SELECT node()')
      expect(cluster.server('r1').settings.get('my.x')).toBe(value)
    }
    expect(asked()).toBe(0)
  })

  it('is kept where it is when the user could not set it himself', async () => {
    cluster.on(values, () => row('log_statement', 'all', 'superuser', 'f'))
    const client = cluster.connect()
    await client.query('SET log_statement FROM CURRENT')
    await expect.poll(asked).toBe(1)
    expect(await client.query('SELECT node()')).toContain('D primary')
    expect(client.session.pinReason).toMatch(/^setting log_statement whose value/)
    expect(client.session.state.get('log_statement')).toBeUndefined()
  })
})

describe('an application that uses currval() across transactions', () => {
  const called = 'nextval(), and this application uses currval()'
  const pinOf = async (client: ReturnType<ScriptedCluster['connect']>): Promise<string> =>
    /T · D (.*) · C SHOW/.exec(await client.query('SHOW pgsplit.pin'))?.[1] ?? '?'

  /** One session of the scope pins itself. */
  async function useCurrval(): Promise<ReturnType<ScriptedCluster['connect']>> {
    const user = cluster.connect()
    await user.query("SELECT nextval('s')")
    await user.query("SELECT currval('s')")
    expect(await pinOf(user)).toBe('uses currval() or lastval()')
    return user
  }

  it('pins no reader whose statement is judged while the catalog is away', async () => {
    await useCurrval()
    cluster.on(values, () => ({ rows: [], tag: 'SELECT 0' }))
    const nothing: Outcome = {
      rows: [[null, null, null, '0', '0', '0', null]],
      tag: 'SELECT 1',
    }
    cluster.on(/^SELECT \(SELECT pg_catalog\.json_agg/, () => nothing)
    const readers = Array.from({ length: 8 }, () => cluster.connect())
    cluster.classifier.setCatalog(null)
    for (const reader of readers) {
      expect(await reader.query('SELECT node() FROM items')).toContain('D primary')
      await reader.run('SELECT node() FROM items')
      await reader.query('SELECT a FROM made_a_moment_ago')
      // Only until the server has said what it left.
      await expect.poll(() => pinOf(reader)).toBe('')
    }
    const writer = cluster.connect()
    await writer.query("SELECT nextval('s') FROM items")
    expect(await pinOf(writer)).toBe(called)
    expect(cluster.inUse).toBe(2)
  })

  it('pins a visible nextval() also where no catalog was ever read', async () => {
    cluster.classifier = new Classifier()
    await useCurrval()
    const reader = cluster.connect()
    await reader.query('SELECT node() FROM items')
    expect(await pinOf(reader)).not.toBe(called)
    await reader.query("SELECT nextval('s')")
    expect(await pinOf(reader)).toBe(called)
  })

  it('pins nobody at nextval() any more when it has not done so for long', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    try {
      const user = await useCurrval()
      const writer = cluster.connect()
      await writer.query("SELECT nextval('s')")
      expect(await pinOf(writer)).toBe(called)
      vi.advanceTimersByTime(9 * 60_000)
      await user.query("SELECT currval('s')")
      vi.advanceTimersByTime(9 * 60_000)
      cluster.scope().prune()
      expect(await pinOf(writer)).toBe(called)
      vi.advanceTimersByTime(2 * 60_000)
      cluster.scope().prune()
      expect(await pinOf(writer)).toBe('')
      expect(cluster.inUse).toBe(1)
      await writer.query("SELECT nextval('s')")
      expect(await pinOf(writer)).toBe('')
      expect(await pinOf(user)).toBe('uses currval() or lastval()')
    } finally {
      vi.useRealTimers()
    }
  })
})
