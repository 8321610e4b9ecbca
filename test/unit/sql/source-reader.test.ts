import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type SourceLanguage, SourceReader } from '../../../src/sql/source-reader.ts'
import type { Effect } from '../../../src/sql/statement-class.ts'

function read(source: string, language: SourceLanguage = 'plpgsql'): SourceReader {
  const reader = new SourceReader()
  reader.read(source, language)
  return reader
}

/** Effects in short: kind, name of what is set, customs of what is unproved. */
function effectsOf(source: string, language: SourceLanguage = 'plpgsql'): string[] {
  const { effects, pin } = read(source, language)
  const found = effects.map(short)
  return pin === null ? found : [...found, `pin: ${pin}`]
}

function short(effect: Effect): string {
  switch (effect.kind) {
    case 'set':
      return `${effect.local ? 'local ' : ''}set ${effect.name}`
    case 'unproved':
      return effect.customs === null ? 'unproved' : `unproved [${effect.customs.join(' ')}]`
    case 'listen':
      return `listen ${effect.channel}`
    case 'declare':
      return `declare ${effect.name}`
    default:
      return effect.kind
  }
}

describe('the source of a function', () => {
  const cases: [string, string[]][] = [
    ['begin return 1; end', []],
    ['declare x int := 5; begin x := 6; return x; end', []],
    ["begin perform set_config('app.x', t, false); end", ['set app.x']],
    ["begin perform set_config('app.x'::text, t, true); end", ['local set app.x']],
    ["begin perform set_config('work_mem', '1MB', true); end", []],
    ["begin perform set_config(a || b, 'x', true); end", ['local set ']],
    ['begin set local work_mem = 5; set local app.y = 5; end', ['local set app.y']],
    ['begin set role r; end', ['set role']],
    ['begin set session authorization r; end', ['set session_authorization', 'set role']],
    [
      'begin set session characteristics as transaction read only; end',
      ['set default_transaction_read_only'],
    ],
    ['begin set transaction read only; set constraints all deferred; end', []],
    ['begin if x then set a.b = 1; else reset a.c; end if; end', ['set a.b', 'set a.c']],
    ['<<l>> begin loop listen c; exit; end loop; end', ['listen c']],
    ['begin create temp table x(); end', ['temp']],
    ['begin select 1 into temp x from y; end', ['temp']],
    ['begin insert into pg_temp.x values (1); end', ['temp']],
    ['begin unlisten *; end', ['unproved []']],
    ['begin reset all; end', ['unproved []', 'pin: runs RESET']],
    ["begin load 'x'; end", ['pin: runs LOAD']],
    ['begin discard temp; end', ['pin: runs DISCARD']],
    ['begin perform setseed(1); end', ['pin: calls setseed()']],
    ['begin perform pg_advisory_lock(1); end', ['advisory-lock']],
    ['begin perform pg_catalog."pg_advisory_lock"(1); end', ['advisory-lock']],
    ['begin perform U&"set\\005fconfig"(1); end', ['unproved']],
    ['begin x := case when a then b else c end; update t set a = 1; end', []],
    ["begin -- set role x\n return 'set role x'; end", []],
    ['begin frobnicate the table; end', ['unproved']],
    ['begin do $d$begin set role x; end$d$; end', ['set role']],
    ['begin do language plperl $d$x$d$; end', ['unproved']],
    ['begin grant execute on function f() to r; end', []],
  ]
  it.each(cases)('%s', (source, effects) => {
    expect(effectsOf(source)).toEqual(effects)
  })

  it('is read by both rules for backslashes', () => {
    expect(effectsOf("begin x := 'a\\'; set role x; --'; end")).toContain('set role')
    expect(effectsOf("begin x := 'b\\\\'; set role x; --'; end")).toContain('set role')
  })

  it('tells what it names and writes to', () => {
    const reader = read('begin insert into s."T" select f(a.b) from v where x @@@ 5; end')
    expect(reader.names).toContain('T')
    expect(reader.names).toContain('v')
    expect([...reader.called].sort()).toEqual(['T', 'b', 'f'])
    expect(reader.operators).toContain('@@@')
    expect([...reader.verbs]).toEqual(['insert'])
    expect([...read('begin perform 1 from t for update; end').verbs]).toEqual([])
  })

  it('never throws and always ends', () => {
    const bit = fc.constantFrom(
      ...['execute', 'format', '(', ')', "'%I'", '||', 'quote_ident', ';', 'begin', 'set', 'role'],
      ...['x', '.', "E'\\n'", '$$', "'", '"', 'do', 'into', 'using', '::regclass', ',', '<<', '>>'],
    )
    fc.assert(
      fc.property(fc.array(bit, { maxLength: 14 }), (bits) => {
        read(bits.join(' '))
        read(bits.join(' '), 'sql')
      }),
      { numRuns: 3000 },
    )
  })
})

describe('SQL that a function puts together', () => {
  const proved: [string, string[]][] = [
    ["execute 'select 1'", []],
    ["execute 'set role ' || quote_ident(r)", ['set role']],
    ["execute 'set app.' || 'x = 5'", ['set app.x']],
    ["execute format('set app.x = %L', v)", ['set app.x']],
    ["execute format('set local app.x = %L', v)", ['local set app.x']],
    ["execute E'set role\\n x'", ['set role']],
    ["execute ('set role ' || quote_ident(r))", ['set role']],
    ["execute format('insert into %I (a, %I) values ($1)', t, c) using x", []],
    ["execute format('insert into %I.%I select * from %1$I.x', s, t) using x", []],
    ["execute format('update %I set n = n + 1 where id = %L', t, i) into x", []],
    ["execute 'delete from ' || t::regclass || ' where id = ' || quote_literal(i)", []],
    ["execute format('select * from %s where a = %L', new.rel::regclass, i)", []],
    ["execute format('alter table %I add column %I int', t, c)", []],
    ["execute format('create index on %I (%I)', t, c)", []],
    ["for r in execute format('select * from %I', t) loop end loop", []],
    ["return query execute 'select %' using x", []],
    ["execute 'declare c cursor with hold for select 1'", ['declare c']],
    ["execute 'listen ' || 'a'", ['listen a']],
    ["execute format('listen %I', a)", ['unproved []']],
    ["execute format('declare %I cursor with hold for select 1', a)", ['unproved []']],
    ["execute 'prepare p as select 1'", ['own-names', 'pin: uses prepared statements']],
    ["execute 'close c'", ['unproved []']],
  ]
  it.each(proved)('%s', (source, effects) => {
    expect(effectsOf(`begin ${source}; end`)).toEqual(effects)
  })

  const open = [
    'execute x',
    'execute f(1)',
    "execute 'select ' || x",
    "execute x || 'select'",
    'execute format(x)',
    "execute format('set %s = 1', a)",
    "execute format('set %I = 1', a)",
    "execute format('select %I()', f)",
    "execute format('select %I(1) from x', f)",
    "execute format('select * from %I(1)', f)",
    "execute format('select t.%I from t', f)",
    "execute format('call %I()', f)",
    "execute format('create %I table x()', f)",
    "execute format('create %s table x()', f)",
    "execute format('update %I set %I = 1', t, c)",
    "execute format('update %I set setting = %L', t, c)",
    "execute format('select ''%I''', x)",
    'execute format(\'select "%I"\', x)',
    "execute format('select a%I', x)",
    "execute format('select %La', x)",
    "execute format('select -%s', x::int)",
    "execute format('select /* %I */ 1', x)",
    "execute format('select $$%I$$', x)",
    "execute format('%I', x)",
    "execute 'select ' || quote_ident(x)::varchar(3)",
    "execute 'select ' || x::text",
    "execute 'select ' || (x || 'a')",
    "execute 'select 1' || ';' || coalesce(x, '')",
    'execute quote_literal(x) || quote_literal(y)',
    "execute case when a then 'select 1' else 'set role x' end",
    "execute U&'set role x'",
    "execute 'do ' || quote_literal(x)",
    "execute 'frob'",
  ]
  it.each(open)('%s: anything', (source) => {
    expect(effectsOf(`begin ${source}; end`)).toContain('unproved')
  })

  it('may use any relation where a name is put in', () => {
    expect(read("begin execute format('insert into %I values (1)', t); end")).toMatchObject({
      usesAny: true,
      verbs: new Set(['insert']),
    })
    expect(read("begin execute 'insert into t values (1)'; end").usesAny).toBe(false)
  })
})
