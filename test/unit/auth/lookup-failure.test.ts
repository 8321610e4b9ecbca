import { describe, expect, it } from 'vitest'
import {
  LookupTimeout,
  lookupFailure,
  NoNodeUp,
  unreadableFailure,
} from '../../../src/auth/lookup-failure.ts'
import { chooseSource } from '../../../src/auth/lookup-source.ts'
import { PgSplitError } from '../../../src/errors.ts'

const place = { node: 'node db1 (10.9.8.7:5432)', user: 'watcher', database: 'metrics' }
const server = (sqlstate: string, message: string) => new PgSplitError({ sqlstate, message })

/** Everything that can keep roles from being looked up, and what the log must name of it. */
const causes = [
  ['no node', lookupFailure(new NoNodeUp(), { ...place, node: null }), 'no node'],
  ['silence', lookupFailure(new LookupTimeout(5000), place), '5000 ms'],
  ['a log-in refused', lookupFailure(server('28P01', 'wrong'), place), 'pg_hba.conf'],
  ['no connection left', lookupFailure(server('53300', 'too many'), place), 'max_connections'],
  ['no database', lookupFailure(server('3D000', 'no such'), place), 'monitor.database'],
  ['not reached', lookupFailure(server('08001', 'ECONNREFUSED'), place), 'ECONNREFUSED'],
  ['starting up', lookupFailure(server('57P03', 'starting'), place), 'starting'],
  ['any error', lookupFailure(server('XX000', 'cache lookup failed'), place), 'cache lookup'],
  ...(['no-function', 'untrusted', 'not-granted'] as const).map(
    (why) =>
      [
        why,
        unreadableFailure({ lookup: { kind: 'auto' }, why }, place).error,
        'pg_authid',
      ] as const,
  ),
  ...(['42883', '3F000', '42501', '42703'] as const).map((sqlstate) => {
    const lookup = { kind: 'function', name: 'own.secret' } as const
    const why = server(sqlstate, 'what the server says')
    return [sqlstate, unreadableFailure({ lookup, why }, place).error, 'own.secret(text)'] as const
  }),
] as const

describe('a look-up that came to nothing', () => {
  it.each(causes)('because of %s tells the client the kind, and the log all', (_, error, fact) => {
    const sqlstate = fact === 'max_connections' ? '53300' : '57P03'
    expect(error).toMatchObject({ sqlstate, severity: 'FATAL' })
    expect(error.message).toMatch(/^cannot look up roles: /)
    const told = `${error.message} ${error.hint}`
    for (const secret of ['db1', '10.9.8.7', 'watcher', 'metrics', 'own.secret', 'server says']) {
      expect(told).not.toContain(secret)
    }
    expect(String((error.cause as Error).message)).toContain(fact)
  })

  it('has words of its own for each cause that wants another step', () => {
    const words = causes.slice(0, 8).map(([, error]) => error.message)
    expect(new Set(words).size).toBe(words.length)
    const texts = causes.map(([, error]) => (error.cause as Error).message)
    expect(new Set(texts).size).toBe(texts.length)
  })
})

describe('auth.lookup: auto', () => {
  it('takes pg_authid where it may, else the function, if a superuser has made it', () => {
    const none = { authid: 'false', is_trusted: null, may_execute: null }
    expect(chooseSource({ ...none, authid: 'true' })).toEqual({ kind: 'pg_authid' })
    expect(chooseSource(none)).toBe('no-function')
    expect(chooseSource({ ...none, is_trusted: 'false', may_execute: 'true' })).toBe('untrusted')
    expect(chooseSource({ ...none, is_trusted: 'true', may_execute: 'false' })).toBe('not-granted')
    expect(chooseSource({ ...none, is_trusted: 'true', may_execute: 'true' })).toMatchObject({
      kind: 'function',
      name: 'pgsplit.role_secret',
      mustBeTrusted: true,
    })
  })
})
