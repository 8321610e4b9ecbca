import { describe, expect, it } from 'vitest'
import { GrantUse } from '../../../src/client/grant-use.ts'
import {
  type Grants,
  isGuarded,
  joinGrants,
  limitsText,
  noGrants,
} from '../../../src/client/grants.ts'
import { isOrdinarySetting, meansTrue } from '../../../src/client/ordinary-settings.ts'

const of = (given: Partial<Grants>, limits: Partial<Grants['limits']> = {}): Grants => ({
  ...noGrants,
  ...given,
  limits: { ...noGrants.limits, ...limits },
})

describe('what two entries say of a client', () => {
  it('is what the first says, then the second, and of limits the smaller one', () => {
    const first = of({ route: 'primary' }, { rows: 10, bytes: 100 })
    const second = of({ route: 'replica', maxLagMs: 5 }, { rows: 5, bytes: 200, concurrency: 3 })
    expect(joinGrants(first, second)).toEqual(
      of({ route: 'primary', maxLagMs: 5 }, { rows: 5, bytes: 100, concurrency: 3 }),
    )
  })

  it('is `access: read` if either says so, whoever says something else', () => {
    for (const [first, second] of [
      ['read', 'all'],
      ['all', 'read'],
      ['read', null],
      [null, 'read'],
    ] as const) {
      expect(joinGrants(of({ access: first }), of({ access: second })).access).toBe('read')
    }
    expect(joinGrants(of({ access: 'all' }), noGrants).access).toBe('all')
  })

  it('needs no guard where it only says how a session begins, and how many there may be', () => {
    expect(isGuarded(of({ route: 'primary' }, { connections: 3 }))).toBe(false)
    expect(isGuarded(of({ access: 'read' }))).toBe(true)
    for (const limit of ['concurrency', 'statementMs', 'rows', 'bytes'] as const) {
      expect(isGuarded(of({}, { [limit]: 1 }))).toBe(true)
    }
    expect(limitsText(of({}, { rows: 10, statementMs: 500 }))).toBe('statementTime=500ms, rows=10')
  })
})

describe('places of those who work at a time', () => {
  it('are given in order, and given back once', () => {
    const use = new GrantUse(() => 60_000)
    const turns: string[] = []
    const one = use.ask(1, () => turns.push('one'))
    const two = use.ask(1, () => turns.push('two'))
    const three = use.ask(1, () => turns.push('three'))
    expect([one.isTaken, two.isTaken, three.isTaken]).toEqual([true, false, false])
    two.leave()
    one.leave()
    expect(turns).toEqual(['three'])
    one.leave()
    expect([use.running, use.waiting]).toEqual([1, 0])
    three.leave()
    expect(use.running).toBe(0)
  })
})

describe('ordinary settings', () => {
  it('are those that any role may set and that change no more than how a read runs', () => {
    for (const name of [
      'work_mem',
      'timezone',
      'enable_seqscan',
      'jit',
      'app.tenant',
      'pgsplit.route',
    ]) {
      expect(isOrdinarySetting(name), name).toBe(true)
    }
    for (const name of [
      'role',
      'session_authorization',
      'session_replication_role',
      'zero_damaged_pages',
      'log_statement',
      'local_preload_libraries',
      'plperl.on_init',
      'pltcl.start_proc',
      'default_transaction_read_only',
    ]) {
      expect(isOrdinarySetting(name), name).toBe(false)
    }
  })

  it('know what PostgreSQL takes for true', () => {
    for (const text of ['on', "'ON'", 'true', "'t'", 'tr', '1', 'y', "' yes '"])
      expect(meansTrue(text), text).toBe(true)
    for (const text of ['off', "'o'", '0', 'false', 'n', '', "'on', 'off'", null])
      expect(meansTrue(text)).toBe(false)
  })
})
