import { describe, expect, it } from 'vitest'
import { Classifier } from '../../../src/sql/classifier.ts'
import { effectPin } from '../../../src/sql/effect-pin.ts'
import type { Effect, Verdict } from '../../../src/sql/statement-class.ts'
import { recordedCatalog } from '../../corpus/recorded-catalog.ts'
import { classOf, corpusStatements } from './corpus-statements.ts'

const classifier = new Classifier()
classifier.setCatalog(recordedCatalog())

const none = { isolation: null, readOnly: null, deferrable: null } as const

/** What the server has to be asked for. */
const hidden = { opaque: true } as const

function set(name: string, value: string | null, more: Partial<Effect> = {}): Effect {
  return { kind: 'set', name, value, local: false, opaque: false, ...more } as Effect
}

function unproved(why: string, customs: readonly string[] | null): Effect {
  return { kind: 'unproved', why, customs }
}

const UNKNOWN_X = unproved('uses x, which the catalog does not know', [])

function executes(name: string, from: number, to: number, hasArgs = false): Effect {
  return { kind: 'execute', name, spot: { from, to, isOdd: false }, hasArgs, args: null }
}

type Case = [sql: string, verdict: Verdict, effects: Effect[]]

function cases(all: Case[]): void {
  it.each(all)('%s is %s', (sql, verdict, effects) => {
    const cls = classOf(classifier, sql)
    expect({ verdict: cls.verdict, effects: cls.effects }).toEqual({ verdict, effects })
    expect(cls.verdict === 'pin').toBe(verdict === 'pin')
    if (verdict === 'pin') expect(cls.pin).not.toBeNull()
  })
}

describe('a pin', () => {
  const pinned = corpusStatements().flatMap(({ sql }) =>
    classOf(classifier, sql).parts.flatMap((part) =>
      part.pin === null ? [] : [{ sql, pin: part.pin, effects: part.effects }],
    ),
  )

  it('is of effects if one of them pins by itself, which is what ends it', () => {
    const ofEffects = pinned.filter(({ pin }) => pin.isOfEffects)
    expect(ofEffects.length).toBeGreaterThan(20)
    for (const { sql, effects } of ofEffects) {
      expect(
        effects.filter((effect) => effectPin(effect) !== null),
        sql,
      ).not.toEqual([])
    }
  })

  it('lasts if nothing of the statement can be asked about', () => {
    const lasting = pinned.filter(({ pin }) => !pin.isOfEffects)
    expect(lasting.map(({ pin }) => pin.why)).toContain('loads auto_explain')
    for (const { sql, pin, effects } of lasting) {
      expect(effects.map(effectPin), sql).not.toContain(pin.why)
    }
  })
})

describe('transactions', () => {
  cases([
    ['BEGIN', 'control', [{ kind: 'begin', modes: none }]],
    [
      'start transaction read only',
      'control',
      [{ kind: 'begin', modes: { ...none, readOnly: true } }],
    ],
    [
      'BEGIN ISOLATION LEVEL REPEATABLE READ, READ WRITE NOT DEFERRABLE',
      'control',
      [
        {
          kind: 'begin',
          modes: { isolation: 'repeatable read', readOnly: false, deferrable: false },
        },
      ],
    ],
    ['BEGIN NONSENSE', 'primary', []],
    ['COMMIT WORK AND CHAIN', 'control', [{ kind: 'commit', chain: true }]],
    ['END AND NO CHAIN', 'control', [{ kind: 'commit', chain: false }]],
    ['ABORT TRANSACTION', 'control', [{ kind: 'rollback', chain: false }]],
    ['SAVEPOINT "A b"', 'control', [{ kind: 'savepoint', name: 'A b' }]],
    ['ROLLBACK WORK TO SAVEPOINT X', 'control', [{ kind: 'rollback-to', name: 'x' }]],
    ['RELEASE SAVEPOINT savepoint', 'control', [{ kind: 'release', name: 'savepoint' }]],
    ["PREPARE TRANSACTION 'g'", 'primary', [{ kind: 'prepare-transaction' }]],
    ["COMMIT PREPARED 'g'", 'primary', []],
    [
      'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
      'control',
      [
        {
          kind: 'set-transaction',
          modes: { ...none, isolation: 'read committed' },
          snapshot: false,
        },
      ],
    ],
    [
      "SET LOCAL TRANSACTION SNAPSHOT 'x'",
      'primary',
      [{ kind: 'set-transaction', modes: none, snapshot: true }],
    ],
    [
      'BEGIN; SELECT 1; COMMIT',
      'control',
      [
        { kind: 'begin', modes: none },
        { kind: 'commit', chain: false },
      ],
    ],
  ])
})

describe('parameters', () => {
  cases([
    ["SET Work_Mem = '8MB'", 'control', [set('work_mem', "'8MB'")]],
    ['SET SESSION "my"."Tenant" TO 5', 'control', [set('my.tenant', '5')]],
    ['SET LOCAL search_path TO a, "B"', 'control', [set('search_path', 'a, "B"', { local: true })]],
    ['SET x TO DEFAULT', 'control', [set('x', null)]],
    ['SET x.y FROM CURRENT', 'control', [set('x.y', null, { opaque: true })]],
    ["SET TIME ZONE 'UTC'", 'control', [set('timezone', "'UTC'")]],
    ['SET TIME ZONE LOCAL', 'control', [set('timezone', null)]],
    ['SET TIME ZONE -3', 'control', [set('timezone', '-3')]],
    ["SET TIME ZONE INTERVAL '1' HOUR", 'control', [set('timezone', null, { opaque: true })]],
    ["SET NAMES 'LATIN1'", 'control', [set('client_encoding', "'LATIN1'")]],
    ["SET SCHEMA 'a'", 'control', [set('search_path', "'a'")]],
    ['SET ROLE none', 'control', [set('role', 'none')]],
    ['SET SESSION AUTHORIZATION DEFAULT', 'control', [set('session_authorization', null)]],
    [
      'SET LOCAL SESSION AUTHORIZATION "A"',
      'control',
      [set('session_authorization', '"A"', { local: true })],
    ],
    ['SET XML OPTION DOCUMENT', 'control', [set('xmloption', 'document')]],
    [
      'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY',
      'control',
      [
        set('default_transaction_isolation', "'serializable'"),
        set('default_transaction_read_only', 'on'),
      ],
    ],
    ['SET session.x = 1', 'control', [set('session.x', '1')]],
    ['SET time = 1', 'control', [set('time', '1')]],
    ["SET pgsplit.route = 'primary'", 'control', [set('pgsplit.route', "'primary'")]],
    [
      'SET search_path = pg_temp, public',
      'control',
      [set('search_path', 'pg_temp, public'), { kind: 'temp' }],
    ],
    ['SET what is this', 'pin', []],
    ['RESET ALL', 'control', [{ kind: 'reset-all' }]],
    ['RESET SESSION AUTHORIZATION', 'control', [{ kind: 'reset', name: 'session_authorization' }]],
    ['RESET My.Tenant', 'control', [{ kind: 'reset', name: 'my.tenant' }]],
    ['SHOW TIME ZONE', 'primary', [{ kind: 'show', name: 'timezone' }]],
    ['SHOW pgsplit.last_route', 'control', [{ kind: 'show', name: 'pgsplit.last_route' }]],
    ['DISCARD TEMPORARY', 'control', [{ kind: 'discard', what: 'temp' }]],
    [
      'ALTER ROLE alice SET work_mem = 1',
      'primary',
      [{ kind: 'ddl', touches: [] }, { kind: 'alter-defaults' }],
    ],
  ])
})

describe('set_config()', () => {
  cases([
    [
      "SELECT pg_catalog.set_config('search_path', '', false);",
      'control',
      [set('search_path', "''", { config: '' })],
    ],
    [
      `SELECT set_config('Search_Path', '"$user", Public, "A b"', false)`,
      'control',
      [set('search_path', "'$user', 'public', 'A b'", { config: '"$user", Public, "A b"' })],
    ],
    [
      "SELECT set_config('a.b', $x$it's \\x$x$, 'f')",
      'control',
      [set('a.b', "E'it''s \\\\x'", { config: "it's \\x" })],
    ],
    [
      "SELECT 1, set_config('a.b', 'c', true)",
      'control',
      [set('a.b', "'c'", { local: true, config: 'c' })],
    ],
    [
      "SELECT set_config('a.b', $1, true)",
      'control',
      [set('a.b', null, { local: true, opaque: true })],
    ],
    ['SELECT set_config($1, $2, true)', 'control', [set('', null, { local: true, opaque: true })]],
    [
      "SELECT set_config('a.b', $1, false)",
      'control',
      [set('a.b', null, { opaque: true, valueParameter: 1 })],
    ],
    [
      'SELECT set_config($2, $1, false)',
      'control',
      [set('', null, { opaque: true, nameParameter: 2, valueParameter: 1 })],
    ],
    [
      "SELECT set_config($1, 'c', $2)",
      'control',
      [set('', null, { opaque: true, nameParameter: 1 })],
    ],
    ["SELECT set_config('a.b', 'c', $1)", 'control', [set('a.b', null, hidden)]],
    ["SELECT set_config('a.b', 'c' || 'd', false)", 'pin', [set('a.b', null, hidden)]],
    ["SELECT set_config('a.b', E'\\x63', false)", 'pin', [set('a.b', null, hidden)]],
    ["SELECT set_config('a.' || 'b', 'c', false)", 'pin', [set('', null, hidden)]],
    ["SELECT set_config('a.b', 'c', false) FROM t", 'pin', [set('a.b', null, hidden)]],
    ["SELECT set_config('a.b', 'c', false) WHERE false", 'pin', [set('a.b', null, hidden)]],
    [
      "SELECT CASE WHEN true THEN set_config('a.b', 'c', false) END",
      'pin',
      [set('a.b', null, hidden)],
    ],
    [
      "SELECT set_config('a.b', 'c', false), generate_series(1, 0)",
      'pin',
      [set('a.b', null, hidden)],
    ],
    ["INSERT INTO t SELECT 1, set_config('a.b', 'c', false)", 'pin', [set('a.b', null, hidden)]],
  ])
})

describe('what pins a session', () => {
  cases([
    ['LISTEN "Ch"', 'pin', [{ kind: 'listen', channel: 'Ch' }]],
    ['UNLISTEN ch', 'primary', [{ kind: 'unlisten', channel: 'ch' }]],
    ['UNLISTEN *', 'control', [{ kind: 'unlisten', channel: null }]],
    ["LOAD 'x'", 'pin', [{ kind: 'load' }]],
    ['CREATE TEMP TABLE a (b int)', 'pin', [{ kind: 'temp' }]],
    ['CREATE OR REPLACE LOCAL TEMPORARY VIEW a AS SELECT 1', 'pin', [{ kind: 'temp' }]],
    ['CREATE TABLE pg_temp.a (b int)', 'pin', [{ kind: 'ddl', touches: ['a'] }, { kind: 'temp' }]],
    [
      'CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS $$SELECT 1$$',
      'pin',
      [{ kind: 'ddl', touches: ['f'] }, { kind: 'temp' }],
    ],
    ['SELECT 1 INTO TEMPORARY x', 'pin', [{ kind: 'temp' }]],
    ['SELECT * FROM pg_temp.x', 'pin', [{ kind: 'temp' }, UNKNOWN_X]],
    [
      'COPY pg_temp.x FROM STDIN',
      'pin',
      [{ kind: 'copy', direction: 'in' }, { kind: 'temp' }, UNKNOWN_X],
    ],
    ['SELECT pg_advisory_lock(1)', 'pin', [{ kind: 'advisory-lock' }]],
    ['UPDATE t SET v = pg_try_advisory_lock(1)::text', 'pin', [{ kind: 'advisory-lock' }]],
    ['SELECT pg_advisory_unlock(1)', 'primary', [{ kind: 'advisory-unlock', all: false }]],
    ['SELECT pg_advisory_unlock_all()', 'primary', [{ kind: 'advisory-unlock', all: true }]],
    [
      'SELECT pg_advisory_unlock_all() FROM t',
      'primary',
      [{ kind: 'advisory-unlock', all: false }],
    ],
    ["INSERT INTO t VALUES (currval('s'))", 'pin', [{ kind: 'sequence-read', isOwn: false }]],
    ['UPDATE pg_settings SET setting = 1', 'pin', [set('*', null, hidden)]],
    ['UPDATE ONLY pg_catalog.pg_settings x SET setting = 1', 'pin', [set('*', null, hidden)]],
    [
      "SELECT dblink_connect('a', 'host=x')",
      'pin',
      [{ kind: 'dblink', ends: false, hasArguments: true }],
    ],
    [
      'SELECT dblink_disconnect()',
      'primary',
      [{ kind: 'dblink', ends: true, hasArguments: false }],
    ],
    [
      "SELECT dblink_disconnect('a')",
      'primary',
      [{ kind: 'dblink', ends: true, hasArguments: true }],
    ],
    ['SELECT pg_backend_pid()', 'pin', []],
    ['SELECT 1, pg_catalog.pg_backend_pid() AS pid', 'pin', []],
    ['SELECT * FROM pg_stat_activity WHERE pid <> pg_backend_pid()', 'primary', []],
    ['SELECT pg_backend_pid() FROM t', 'primary', []],
    ['SELECT f_temp()', 'pin', [{ kind: 'temp' }]],
    ['CALL f_setconf()', 'primary', [set('my.app', null, hidden)]],
    ["DO $$ BEGIN PERFORM set_config('a', 'b', false); END $$", 'pin', [set('a', null, hidden)]],
    [
      "DO $$ BEGIN PERFORM set_config('a' || b, 'b', false); END $$",
      'pin',
      [unproved('calls set_config() with a name that its source does not show', null)],
    ],
    [
      'DO $$ BEGIN CREATE TEMP TABLE x(); PERFORM pg_advisory_lock(1); END $$',
      'pin',
      [{ kind: 'temp' }, { kind: 'advisory-lock' }],
    ],
    ['DO $$ BEGIN CREATE TEMP TABLE x(); PERFORM setseed(1); END $$', 'pin', [{ kind: 'temp' }]],
    [
      'DO $$ BEGIN PERFORM pg_advisory_unlock(1); END $$',
      'primary',
      [{ kind: 'advisory-unlock', all: false }],
    ],
    [
      'DO $$ BEGIN SET SESSION my.x TO 1; SET ROLE bob; RESET work_mem; LISTEN c; END $$',
      'pin',
      [
        set('my.x', null, hidden),
        set('role', null, hidden),
        set('work_mem', null, hidden),
        { kind: 'listen', channel: 'c', isOdd: true },
      ],
    ],
    ['DO $$ BEGIN RESET ALL; END $$', 'pin', [unproved('runs RESET ALL', [])]],
    ["DO $$ BEGIN PERFORM set_config('a', 'b', true); END $$", 'primary', []],
    ['DO $$ BEGIN SET x = 1; END $$', 'pin', [set('x', null, hidden)]],
    ['DO $$ BEGIN SET LOCAL x = 1; END $$', 'primary', []],
    ['DO $$ BEGIN CREATE TABLE x(); END $$', 'primary', [{ kind: 'ddl', touches: null }]],
    ["INSERT INTO t SELECT U&\"\\0073et_config\"('a', 'b', false)", 'pin', []],
    [
      'DECLARE c CURSOR WITH HOLD FOR SELECT 1',
      'pin',
      [{ kind: 'declare', name: 'c', hold: true }],
    ],
    ['EXECUTE p (1, 2)', 'pin', [executes('p', 8, 9, true)]],
    ['EXPLAIN ANALYZE EXECUTE p', 'pin', [executes('p', 24, 25)]],
    [
      'CREATE TABLE x AS EXECUTE p (1)',
      'pin',
      [{ kind: 'ddl', touches: ['x'] }, executes('p', 26, 27, true)],
    ],
    ['CREATE TEMP TABLE x AS EXECUTE p', 'pin', [{ kind: 'temp' }, executes('p', 31, 32)]],
    ['/* é */ EXECUTE "P x"', 'pin', [executes('P x', 17, 22)]],
    ['EXECUTE U&"\\0070"', 'pin', [executes('p', 8, 17)]],
    ['EXECUTE U&"!0070!!" UESCAPE \'!\'', 'pin', [executes('p!', 8, 31)]],
    ['EXECUTE U&"\\00zz"', 'primary', []],
    ['SELECT * FROM pg_prepared_statements', 'primary', [{ kind: 'own-names' }]],
    [
      'DO $$ BEGIN EXECUTE made_up(1); END $$',
      'primary',
      [{ kind: 'dynamic' }, unproved('runs SQL that its source does not show', null)],
    ],
    ["DO $$ BEGIN EXECUTE 'EXECUTE p'; END $$", 'pin', [{ kind: 'own-names' }]],
  ])
})

describe('cursors, COPY and DDL', () => {
  cases([
    [
      'DECLARE c NO SCROLL CURSOR FOR SELECT * FROM t',
      'control',
      [{ kind: 'declare', name: 'c', hold: false }],
    ],
    ['FETCH BACKWARD 5 FROM "C"', 'control', [{ kind: 'fetch', name: 'C' }]],
    ['MOVE c', 'control', [{ kind: 'fetch', name: 'c' }]],
    ['CLOSE ALL', 'control', [{ kind: 'close-cursor', name: null }]],
    [
      'COPY public.t (id) TO STDOUT WITH (FORMAT csv)',
      'replica',
      [{ kind: 'copy', direction: 'out' }],
    ],
    ['COPY (SELECT 1) TO STDOUT', 'either', [{ kind: 'copy', direction: 'out' }]],
    ['COPY ul TO STDOUT', 'primary', [{ kind: 'copy', direction: 'out' }]],
    ["COPY t TO PROGRAM 'x'", 'primary', [{ kind: 'copy', direction: 'server-file' }]],
    ['COPY t FROM STDIN', 'primary', [{ kind: 'copy', direction: 'in' }]],
    ["COPY t FROM '/x'", 'primary', [{ kind: 'copy', direction: 'server-file' }]],
    ['SELECT 1 INTO x', 'primary', [{ kind: 'ddl', touches: ['x'] }]],
    ['REFRESH MATERIALIZED VIEW mv', 'primary', [{ kind: 'ddl', touches: [] }]],
    ['GRANT ALL ON t TO alice', 'primary', [{ kind: 'ddl', touches: [] }]],
    ['DEALLOCATE PREPARE ALL', 'control', [{ kind: 'deallocate', name: null }]],
    ['VACUUM t', 'primary', []],
    ['TRUNCATE t', 'primary', []],
  ])
})

describe('statements within statements', () => {
  it('gives PREPARE the class of its body', () => {
    const cls = classOf(classifier, 'PREPARE "P" (int) AS SELECT v FROM t WHERE id = $1')
    expect(cls.verdict).toBe('pin')
    const effect = cls.effects[0]
    expect(effect).toMatchObject({ kind: 'prepare', name: 'P', body: { verdict: 'replica' } })
    const write = classOf(classifier, 'PREPARE p AS DELETE FROM t').effects[0]
    expect(write).toMatchObject({
      kind: 'prepare',
      body: { verdict: 'primary', keyword: 'delete' },
    })
  })

  it('gives the places of names, and odd names a mark', () => {
    const sql = `SELECT 1; PREPARE p (int) AS SELECT 2; DEALLOCATE "${'x'.repeat(64)}"`
    const [prepare, deallocate] = classOf(classifier, sql).effects
    expect(prepare).toMatchObject({ spot: { from: 18, to: 19 }, start: 10, bodyFrom: 29, end: 37 })
    expect(deallocate).toMatchObject({ kind: 'deallocate', spot: { isOdd: true } })
  })

  it('judges the arguments of EXECUTE', () => {
    const args = (sql: string) => {
      const [effect] = classOf(classifier, sql).effects
      return effect?.kind === 'execute' ? (effect.args?.verdict ?? null) : 'no execute'
    }
    expect(args("EXECUTE p (1, 'x', lower('Y'))")).toBeNull()
    expect(args("EXECUTE p (nextval('s'))")).toBe('primary')
    expect(args('EXECUTE p (pg_try_advisory_lock(1))')).toBe('pin')
    expect(args('EXECUTE p ()')).toBeNull()
  })

  it('explains a route without running anything', () => {
    const cls = classOf(classifier, 'EXPLAIN (ROUTE) DELETE FROM t')
    expect(cls.verdict).toBe('control')
    expect(cls.effects[0]).toMatchObject({ kind: 'explain-route', inner: { verdict: 'primary' } })
    const read = classOf(classifier, 'explain (route on) select v from t')
    expect(read.effects[0]).toMatchObject({ kind: 'explain-route', inner: { verdict: 'replica' } })
  })

  it('names the strongest part and keeps the order', () => {
    const cls = classOf(classifier, 'SELECT v FROM t; SET a = 1; DELETE FROM t; SELECT 2')
    expect(cls.parts.map((part) => part.verdict)).toEqual([
      'replica',
      'control',
      'primary',
      'either',
    ])
    expect(cls).toMatchObject({ verdict: 'primary', reason: 'DELETE writes', keyword: 'select' })
  })

  it('gives up on statements that nest beyond sense', () => {
    const sql = `${'EXPLAIN '.repeat(50_000)}SELECT 1`
    expect(classOf(classifier, sql).verdict).toBe('primary')
  })
})
