import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ScriptedCluster } from '../support/scripted-cluster.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster()
})
afterEach(() => cluster.close())

describe('a setting that other server connections refuse', () => {
  it.each(['RESET work_mem', 'RESET ALL', 'DISCARD ALL', 'SET work_mem = 6'])(
    'goes with %s',
    async (text) => {
      const client = cluster.connect()
      const other = cluster.connect()
      await client.query('SET work_mem = 5')
      await other.query('BEGIN')
      await other.query('INSERT INTO items VALUES (1)')
      const error = { sqlstate: '22023', message: 'invalid value' }
      cluster.on(/^replay work_mem=5/, () => ({ error }))
      expect(await client.query('INSERT INTO items VALUES (1)')).toBe('E 22023 · Z I')
      expect(await client.query(`SELECT 1; ${text}`)).toBe('E 22023 · Z I')
      expect(await client.query(text)).toMatch(/^C (RESET|DISCARD ALL|SET) · Z I$/)
      expect(await client.query('SHOW work_mem')).toContain(
        text.endsWith('6') ? 'D 6' : 'D default',
      )
    },
  )

  it('goes with RESET ALL, which leaves the role alone', async () => {
    const client = cluster.connect()
    const other = cluster.connect()
    await client.query('SET ROLE bob')
    await client.query('SET work_mem = 5')
    await other.query('BEGIN')
    await other.query('INSERT INTO items VALUES (1)')
    const error = { sqlstate: '22023', message: 'invalid value' }
    cluster.on(/^replay work_mem=5/, () => ({ error }))
    expect(await client.query('RESET ALL')).toBe('C RESET · Z I')
    expect(client.session.state.get('role')).toBe('bob')
  })

  it('goes with a warning where an extension has loaded and does not know it', async () => {
    const client = cluster.connect()
    await client.query('SET plpgsql.extra = 5')
    cluster.scope().recycle()
    const message = 'invalid configuration parameter name "plpgsql.extra"'
    cluster.on(/^replay plpgsql.extra/, () => ({ error: { sqlstate: '42602', message } }))
    expect(await client.query('INSERT INTO items VALUES (1)')).toBe('N 42602 · C INSERT 0 1 · Z I')
    expect(client.session.state.get('plpgsql.extra')).toBeUndefined()
  })
})
