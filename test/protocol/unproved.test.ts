import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CatalogSets } from '../../src/sql/catalog-sets.ts'
import { Classifier } from '../../src/sql/classifier.ts'
import type { Effect } from '../../src/sql/statement-class.ts'
import { parameterStatus } from '../../src/wire/backend-messages.ts'
import { recordedCatalog } from '../corpus/recorded-catalog.ts'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'
import type { Outcome } from '../support/scripted-server.ts'
import { isCutShort } from '../support/turns.ts'

/** What asks for settings, and for what there is on the server. */
const values = /^WITH p AS MATERIALIZED/
const counts = /^SELECT \(SELECT pg_catalog\.json_agg/

let cluster: ScriptedCluster
let sets: CatalogSets
beforeEach(() => {
  cluster = new ScriptedCluster({ pool: { size: 1 } })
  const catalog = recordedCatalog()
  const unproved = (customs: readonly string[] | null): Effect[] => [
    { kind: 'unproved', why: 'calls a function', customs },
  ]
  sets = {
    ...catalog,
    functions: new Set([...catalog.functions, 'node', 'may_set', 'may_set_any']),
    relations: new Set([...catalog.relations, 'items']),
    sessionEffects: new Map([
      ['may_set', unproved(['app.tenant'])],
      ['may_set_any', unproved(null)],
    ]),
  }
  cluster.classifier.setCatalog(sets)
  answers([], {})
})
afterEach(() => cluster.close())

interface Left {
  readonly channels?: string
  readonly cursors?: string
  readonly prepared?: string
  readonly locks?: string
}

/** What the server answers: parameters as it tells them, and what there is. */
function answers(
  settings: readonly (readonly (string | null)[])[],
  { channels, cursors, prepared, locks = '0' }: Left,
): void {
  const isTold = settings.some(([name]) => name === 'app.tenant')
  const rows = isTold ? settings : [...settings, ['app.tenant', null, null, 'f']]
  cluster.on(values, () => ({ rows, tag: 'SELECT' }))
  const columns: readonly (readonly [string, string | null])[] = [
    ['listening', channels ?? null],
    ['pg_cursors', cursors ?? null],
    ['pg_prepared', prepared ?? null],
    ['pg_depend', '0'],
    ['pg_locks', locks],
    ['pg_replication_slots', '0'],
    ['dblink', null],
  ]
  cluster.on(counts, (text) => {
    const row = columns.filter(([word]) => text.includes(word)).map(([, value]) => value)
    return { rows: [row], tag: 'SELECT 1' }
  })
}

function asked(): string[] {
  const texts = cluster.servers.flatMap((server) => server.texts)
  return texts.filter((text) => text.includes('pgsplit:'))
}

describe('a statement whose effects on the session are not proved', () => {
  it('is asked about once, in one message, and what is found goes with the session', async () => {
    const found = [
      ['app.tenant', 'acme', null, 'f'],
      ['application_name', 'x', 'user', 't'],
    ]
    answers(found, {})
    const client = cluster.connect()
    await client.query('SELECT may_set()')
    await expect.poll(() => cluster.inUse).toBe(0)
    expect(asked()).toHaveLength(1)
    expect(asked()[0]).toContain("('app.tenant'::pg_catalog.text)")
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(Object.fromEntries(cluster.server('r1').settings)).toEqual({
      'app.tenant': 'acme',
      application_name: 'x',
    })
    expect(asked()).toHaveLength(1)
  })

  it('goes to the primary, though it only reads, and shares no connection', async () => {
    const client = cluster.connect()
    for (let i = 0; i < 8; i++) {
      await client.query('SELECT may_set()')
      await expect.poll(() => cluster.inUse).toBe(0)
    }
    expect(cluster.serversOf('r1')).toHaveLength(0)
    expect(asked()).toHaveLength(8)
  })

  it('is none of those that are proved', async () => {
    const client = cluster.connect()
    await client.query('SELECT node()')
    await client.query('INSERT INTO items VALUES (1)')
    await client.query("SET application_name = 'x'")
    expect(asked()).toHaveLength(0)
  })

  it.skipIf(isCutShort)(
    'is none with parameters of built-in types, whether there is a catalog or not',
    async () => {
      const client = cluster.connect()
      cluster.classifier.setCatalog(null)
      const text = 'INSERT INTO items VALUES ($1)'
      client.send(
        front.parse('s', text, [23]),
        front.bind('s', '', ['1']),
        front.execute(),
        front.sync,
      )
      await client.ready()
      expect(client.session.pinReason).toBeNull()
      client.send(front.parse('t', text, [16_500]), front.bind('t', '', ['1']))
      client.send(front.execute(), front.sync)
      await client.ready()
      expect(client.session.pinReason).toBe('may have set a parameter that no text names')
    },
  )

  it('is asked about behind its transaction, however that ends', async () => {
    const client = cluster.connect()
    for (const end of ['COMMIT', 'ROLLBACK']) {
      await client.query('BEGIN')
      await client.query('SELECT may_set()')
      await client.query('INSERT INTO items VALUES (1)')
      const before = asked().length
      await client.query(end)
      await expect.poll(() => cluster.inUse).toBe(0)
      expect(asked()).toHaveLength(before + 1)
    }
  })

  it('is asked about when it has failed, too', async () => {
    cluster.on('SELECT may_set()', () => ({ error: { sqlstate: '22012', message: 'zero' } }))
    answers([], { locks: '1' })
    const client = cluster.connect()
    expect(await client.query('SELECT may_set()')).toBe('E 22012 · Z I')
    await expect.poll(asked).toHaveLength(1)
    await client.query('SELECT node()')
    expect(client.session.pinReason).toBe('session advisory lock')
  })

  it('is judged again when the catalog is there, if it has run before', async () => {
    cluster.classifier = new Classifier()
    const client = cluster.connect()
    await client.query('SELECT may_set()')
    await client.query('SELECT node()')
    expect(client.session.pinReason).toMatch(/^may have changed the session/)
    expect(asked()).toHaveLength(0)
    cluster.classifier.setCatalog(sets)
    await expect.poll(() => cluster.inUse).toBe(0)
    expect(asked()[0]).toContain("('app.tenant'::pg_catalog.text)")
  })

  it('is asked about when it was only bound: planning runs what is IMMUTABLE', async () => {
    const client = cluster.connect()
    client.send(front.parse('', 'SELECT may_set()'), front.bind('', ''), front.sync)
    await client.ready()
    await expect.poll(asked).toHaveLength(1)
  })

  it.each([
    ['channels', { channels: '["ä", "b"]' }, 'listens on ä, b', 'UNLISTEN *'],
    ['cursors', { cursors: '["c"]' }, 'cursor c WITH HOLD', 'CLOSE c'],
    ['prepared', { prepared: '["p"]' }, 'prepared statement p', 'DEALLOCATE ALL'],
  ] as const)('pins by its %s, by name, until they go', async (_, left, reason, end) => {
    answers([], left)
    const client = cluster.connect()
    await client.query('SELECT may_set()')
    await expect.poll(asked).toHaveLength(1)
    expect(await client.query('SELECT node()')).toContain('D primary')
    expect(client.session.pinReason).toBe(reason)
    answers([], {})
    await client.query(end)
    await expect.poll(() => cluster.inUse).toBe(0)
    expect(client.session.pinReason).toBeNull()
  })

  it('tells which of our prepared statements have gone', async () => {
    const client = cluster.connect()
    const text = 'INSERT INTO items VALUES (1)'
    client.send(front.parse('s', text), front.bind('s', ''), front.execute(), front.sync)
    await client.ready()
    await client.query('SELECT may_set()')
    await expect.poll(() => cluster.inUse).toBe(0)
    client.send(front.bind('s', ''), front.execute(), front.sync)
    await client.ready()
    expect(cluster.server('primary').texts.filter((one) => one === text)).toHaveLength(2)
  })

  it('leaves the unnamed statement to its session', async () => {
    const client = cluster.connect()
    const insert = 'INSERT INTO items VALUES (1)'
    client.send(front.parse('m', 'SELECT may_set()'), front.sync)
    await client.ready()
    client.send(front.parse('', insert), front.sync)
    await client.ready()
    client.send(front.bind('m', ''), front.execute(), front.sync)
    await client.ready()
    await expect.poll(() => cluster.inUse).toBe(0)
    client.send(front.bind('', ''), front.execute(), front.sync)
    expect(await client.ready()).toContain('C INSERT')
  })

  it.each([
    ['an error', { error: { sqlstate: '57014', message: 'canceled' } }],
    ['nothing', { rows: [], tag: 'SELECT 0' }],
    ['no number', { rows: [[null, null, null, 'x', '0', '0', null]], tag: 'SELECT 1' }],
    ['no names', { rows: [['{', null, null, '0', '0', '0', null]], tag: 'SELECT 1' }],
  ] as readonly (readonly [string, Outcome])[])(
    'keeps its connection from others when the answer is %s',
    async (_, outcome) => {
      cluster.on(counts, () => outcome)
      const client = cluster.connect()
      await client.query('SELECT may_set()')
      await expect.poll(asked).toHaveLength(1)
      await client.query('SELECT node()')
      expect(client.session.pinReason).toBe('may have changed the session: calls a function')
      client.send(front.terminate)
      await client.closed()
      await expect.poll(() => cluster.serversOf('primary')[0]?.isTerminated).toBe(true)
    },
  )

  it('lets its connection go on to others when the client leaves before the answer', async () => {
    answers([['app.tenant', 'acme', null, 'f']], {})
    cluster.on(counts, () => ({ hang: true }))
    const client = cluster.connect()
    await client.query('SELECT may_set()')
    await expect.poll(asked).toHaveLength(1)
    client.send(front.terminate)
    await client.closed()
    expect(cluster.inUse).toBe(1)
    answers([['app.tenant', 'acme', null, 'f']], {})
    cluster.server('primary').go()
    await expect.poll(() => cluster.inUse).toBe(0)
    // Who knows nothing of app.tenant must not find it empty, so he gets another one.
    await cluster.connect().query('INSERT INTO items VALUES (1)')
    expect(cluster.serversOf('primary').map(({ isTerminated }) => isTerminated)).toEqual([
      true,
      false,
    ])
  })
})

describe('a parameter that no text names', () => {
  it.each([
    ['a function', () => front.query('SELECT may_set_any()')],
    ['a function call message', () => front.functionCall(1)],
  ])('may have been set by %s: the session is pinned and its connection closed', async (_, say) => {
    const client = cluster.connect()
    client.send(say())
    await client.ready()
    await expect.poll(asked).toHaveLength(1)
    expect(await client.query('SHOW pgsplit.pin')).toContain(
      'may have set a parameter that no text names',
    )
    expect(await client.query('SELECT node()')).toContain('D primary')
    client.send(front.terminate)
    await client.closed()
    await expect.poll(() => cluster.serversOf('primary')[0]?.isTerminated).toBe(true)
  })

  it('is not undone by DISCARD ALL, which frees the session', async () => {
    const client = cluster.connect()
    await client.query('SELECT may_set_any()')
    await expect.poll(asked).toHaveLength(1)
    await client.query('DISCARD ALL')
    expect(client.session.pinReason).toBeNull()
    expect(cluster.serversOf('primary')[0]?.isTerminated).toBe(true)
  })
})

describe('a parameter that the server reports', () => {
  const report = (name: string, value: string): Outcome => ({
    before: parameterStatus(name, value),
    tag: 'INSERT 0 1',
  })

  it('and that nothing of the session explains, is asked for', async () => {
    cluster.on('INSERT INTO items VALUES (1)', () => report('standard_conforming_strings', 'off'))
    answers([['standard_conforming_strings', 'off', 'user', 't']], {})
    const client = cluster.connect()
    await client.query('INSERT INTO items VALUES (1)')
    await expect.poll(() => cluster.inUse).toBe(0)
    expect(asked()).toHaveLength(1)
    await cluster.connect().query('INSERT INTO items VALUES (2)')
    expect(cluster.server('primary').log).toContain('P RESET "standard_conforming_strings"')
    expect(asked()).toHaveLength(1)
  })

  it('costs nothing where a SET explains it', async () => {
    const client = cluster.connect()
    await client.query("SET application_name = 'x'")
    await client.query('INSERT INTO items VALUES (1)')
    await client.query('RESET application_name')
    await client.query('INSERT INTO items VALUES (1)')
    expect(asked()).toHaveLength(0)
    expect(cluster.inUse).toBe(0)
  })
})
