import { describe, expect, test } from 'vitest'
import { showCommands } from '../../../src/admin/show-commands.ts'
import { Conversation } from './conversation.ts'
import { sampleSource } from './sample-source.ts'

describe('SHOW in the simple query protocol', () => {
  test.each([...showCommands.keys()])('SHOW %s answers a table that fits its columns', (name) => {
    const talk = new Conversation().query(`SHOW ${name}`)
    const { columns, rows } = talk.table()
    expect(columns.length).toBeGreaterThan(0)
    for (const row of rows) expect(row).toHaveLength(columns.length)
    expect(talk.tags()).toEqual(['SHOW'])
    expect(talk.types()).toMatch(/^TD*CZ$/)
  })

  test('SHOW NODES has a row per node, NULL where nothing is known, whole numbers exact', () => {
    const { columns, oids, rows } = new Conversation().query('SHOW NODES').table()
    const replica = Object.fromEntries(columns.map((name, index) => [name, rows[1]?.[index]]))
    expect(rows).toHaveLength(2)
    expect(replica).toMatchObject({
      node: 'r1',
      role: 'replica',
      port: '5433',
      zone: null,
      weight: '1.5',
      lag_ms: '0.25',
      lag_bytes: '9007199254740993',
      replay_lsn: '0/3000148',
    })
    expect(oids[columns.indexOf('node')]).toBe(25)
    expect(oids[columns.indexOf('port')]).toBe(20)
    expect(oids[columns.indexOf('lag_ms')]).toBe(701)
  })

  test('SHOW POOLS and CLIENTS begin with the columns of PgBouncer, in its order', () => {
    const pools = new Conversation().query('SHOW POOLS').table().columns
    expect(pools.slice(0, 4)).toEqual(['database', 'user', 'cl_active', 'cl_waiting'])
    expect(pools).toEqual(expect.arrayContaining(['sv_used', 'maxwait_us', 'pool_mode', 'node']))
    const clients = new Conversation().query('SHOW CLIENTS').table().columns
    expect(clients.slice(0, 5)).toEqual(['type', 'user', 'database', 'state', 'addr'])
    expect(clients.slice(-3)).toEqual(['pin_reason', 'node', 'last_route'])
  })

  test('the type column is C for clients and S for servers', () => {
    expect(new Conversation().query('SHOW CLIENTS').table().rows[0]?.[0]).toBe('C')
    expect(new Conversation().query('SHOW SERVERS').table().rows[0]?.[0]).toBe('S')
  })

  test('SHOW LISTS counts clients by what they do', () => {
    const items = new Map(new Conversation().query('SHOW LISTS').table().rows as [string, string][])
    expect(items.get('used_clients')).toBe('1')
    expect(items.get('login_clients')).toBe('1')
    expect(items.get('pinned_clients')).toBe('1')
    expect(items.get('nodes')).toBe('2')
  })

  test('SHOW VERSION names pgsplit and its version', () => {
    expect(new Conversation().query('SHOW VERSION').table().rows).toEqual([['pgsplit 0.1.0']])
  })

  test('SHOW STATE tells that a SIGTERM was seen', () => {
    const talk = new Conversation(sampleSource({ state: () => 'draining' })).query('SHOW STATE')
    expect(talk.table().rows).toContainEqual(['draining', 'yes'])
  })

  test.each(['show nodes', 'SHOW NODES;', '  Show\n Nodes ; ;', '/* who */ SHOW -- is it\n NODES'])(
    '%j is SHOW NODES',
    (text) => {
      expect(new Conversation().query(text).table().rows).toHaveLength(2)
    },
  )

  test('several commands in one text are answered one after the other', () => {
    expect(new Conversation().query('SHOW VERSION; SHOW NODES').types()).toBe('TDCTDDCZ')
  })

  test('an error ends the text, and what came before it stays answered', () => {
    expect(new Conversation().query('SHOW VERSION; SHOW x; SHOW NODES').types()).toBe('TDCEZ')
  })

  test('a count that is not finite is NULL and a fraction is cut, instead of an error', () => {
    const memory = () => [
      { name: 'a', bytes: Number.NaN },
      { name: 'b', bytes: 1.9 },
      { name: 'c', bytes: 2 ** 60 },
    ]
    const { rows } = new Conversation(sampleSource({ memory })).query('SHOW MEM').table()
    expect(rows.map((row) => row[1])).toEqual([null, '1', '1152921504606846976'])
  })
})
