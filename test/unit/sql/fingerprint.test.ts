import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { classifyTokens } from '../../../src/sql/classify-text.ts'
import { Fingerprint } from '../../../src/sql/fingerprint.ts'
import { tokenize } from '../../../src/sql/lexer.ts'
import type { StatementClass } from '../../../src/sql/statement-class.ts'
import { T_COMMA, T_NUMBER, T_PARAM, T_STRING } from '../../../src/sql/tokens.ts'
import { recordedCatalog } from '../../corpus/recorded-catalog.ts'
import { corpusStatements } from './corpus-statements.ts'
import { queryText } from './query-grammar.ts'

const print = new Fingerprint()

function of(sql: string | Uint8Array, backslash = false): string | null {
  const text = typeof sql === 'string' ? Buffer.from(sql) : sql
  if (!print.compute(text, 0, text.length, backslash, 0)) return null
  return `${print.a} ${print.b} ${print.check}`
}

const context = { catalog: recordedCatalog(), doubted: null, noReads: null, asciiNamesOnly: false }

/** The class without any cache. */
function judged(sql: string): StatementClass | null {
  const text = Buffer.from(sql)
  const tokens = tokenize(text, 0, text.length, false)
  if (typeof tokens === 'string') return null
  return classifyTokens(tokens, 0, tokens.length, context, null)
}

/** Kinds and names of the tokens; literals are all alike, and a list of them is as good as one. */
function tokensOf(text: Uint8Array): string[] | string {
  const list = tokenize(text, 0, text.length, false)
  if (typeof list === 'string') return list
  const found: string[] = []
  for (let i = 0; i < list.length; i++) {
    const kind = list.kind(i)
    const isLiteral = kind === T_STRING || kind === T_NUMBER || kind === T_PARAM
    if (isLiteral && found.at(-1) === ',' && found.at(-2) === 'literal') found.pop()
    else if (isLiteral) found.push('literal')
    else found.push(kind === T_COMMA ? ',' : `${kind} ${list.word(i)}`)
  }
  return found
}

describe('the fingerprint', { timeout: 60_000 }, () => {
  const same: [string, string][] = [
    ['SELECT * FROM t WHERE id = 1', 'select *  from T where ID=$7 -- x'],
    ["SELECT 'a'", "SELECT $$it's$$"],
    ["SELECT 'a'", "SELECT E'\\''"],
    ["SELECT N'a'", "SELECT X'1F'"],
    ['SELECT * FROM t WHERE id IN (1, 2, 3)', "SELECT * FROM t WHERE id IN ($1,'x')"],
    ['INSERT INTO t VALUES (1, 2)', 'INSERT INTO t VALUES (NULL)'.replace('NULL', '3')],
    ['(SELECT 1)', '(SELECT 2)'],
    ['SELECT 1; SELECT 2', 'SELECT 3; SELECT 4'],
  ]
  it.each(same)('is one for %s and %s', (a, b) => {
    expect(of(a)).toBe(of(b))
  })

  const different: [string, string][] = [
    ['BEGIN', 'BEGIN READ ONLY'],
    ['SELECT * FROM a.t', 'SELECT * FROM b.t'],
    ["SELECT 'x'::ct", "SELECT 'x'::dom"],
    ["SELECT set_config('a','b',true)", "SELECT set_config('a','b',false)"],
    ["SELECT \"set_config\"('a','b',true)", "SELECT \"set_config\"('a','c',true)"],
    ["SELECT current_setting('a')", "SELECT current_setting('b')"],
    ["SELECT 1, set_config('a', f(1), true)", "SELECT 1, set_config('a', f(2), true)"],
    ['SET TRANSACTION READ ONLY', 'SET TRANSACTION READ WRITE'],
    ["SET a = '1'", "SET a = '2'"],
    ['EXPLAIN (ANALYZE 0) DELETE FROM t', 'EXPLAIN (ANALYZE 1) DELETE FROM t'],
    ["SELECT 1; SET a = '1'", "SELECT 1; SET a = '2'"],
    ['SELECT ab', 'SELECT a b'],
    ['SELECT "a"', 'SELECT a'],
    ['SELECT 1 <- 2', 'SELECT 1 < -2'],
    ['SELECT 1::d', 'SELECT 1: :d'],
    ['SELECT a[1:=2]', 'SELECT a[1: =2]'],
    ['SELECT a..b', 'SELECT a. .b'],
    ['SELECT 1', 'SELECT 1,'],
    ["SELECT E'x'", 'SELECT 1, 2, e'],
    ['/* pgsplit: primary */ SELECT 1', 'SELECT 1'],
    ['/* pgsplit: primary */ SELECT 1', '/* pgsplit: replica */ SELECT 1'],
    ['SELECT U&"a"(\'x\')', 'SELECT U&"a"(\'y\')'],
    ["('x').current_setting", "('y').current_setting"],
  ]
  it.each(different)('tells %s from %s', (a, b) => {
    expect(of(a)).not.toBe(of(b))
  })

  it('does not exist for a text that cannot be lexed', () => {
    for (const sql of ["SELECT 'a", 'SELECT "a', 'SELECT /*', 'SELECT $$', "SELECT E'\\'"]) {
      expect(of(sql)).toBeNull()
    }
  })

  it('depends on the seed of its process', () => {
    const other = new Fingerprint(new Uint8Array(16).fill(7))
    const text = Buffer.from('SELECT 1')
    other.compute(text, 0, text.length, false, 0)
    of(text)
    expect([other.a, other.b]).not.toEqual([print.a, print.b])
  })

  it('fails exactly where the lexer fails', () => {
    const bit = fc.constantFrom(
      "'",
      '"',
      '$$',
      '$a$',
      '/*',
      '*/',
      '--',
      '\n',
      'E',
      "E'",
      'U&',
      "u&'",
      'n',
      '1',
      '.',
      '\\',
      ' ',
      'select',
      '(',
      ')',
      ',',
      ';',
      '+',
      'x',
      'set_config',
    )
    const text = fc.array(bit, { maxLength: 12 }).map((bits) => `select ${bits.join('')}`)
    fc.assert(
      fc.property(text, fc.boolean(), (sql, backslash) => {
        const bytes = Buffer.from(sql)
        const lexed = tokenize(bytes, 0, bytes.length, backslash)
        // A text with a stray character is hashed as a whole, lexable or not.
        if (of(bytes, backslash) === null) expect(lexed).toBe('unterminated')
        else if (lexed === 'unterminated') expect(print.check).toBeLessThan(0)
      }),
      { numRuns: 3000 },
    )
  })

  it('never throws and does not read beyond the end', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.uint8Array({ maxLength: 9 }),
        (head, tail) => {
          const text = Buffer.concat([Buffer.from('select '), head, tail])
          const alone = of(text.subarray(0, 7 + head.length))
          const within = print.compute(text, 0, 7 + head.length, false, 0)
          expect(within ? `${print.a} ${print.b} ${print.check}` : null).toBe(alone)
        },
      ),
    )
  })

  it('is shared only by texts of the same tokens, whatever stands between two bytes', () => {
    const tricky = [
      "select 1::d, '5'::text, 'a'\n'b', E'\\'', U&'x' uescape '!', U&\"y\", a.b..c, x[1:2], x[1:=2]",
      'select a<=b, a!=b, a=>1, 1- -1, a-- x\n+1, /* c */ .5, 1.5e3, 0x1F, 1_000, $1, $$a$$, $t$b$t$',
      "insert into t (a) values (1, '2', $3) returning t '5', t(1) '5', s.t '5', \"t\" '5'",
      "update t set a = b'1', c = x'1F', n = n'x' where \"a b\" operator(pg_catalog.=) 5 and b is not null",
      "with w as (select set_config('a', 'b', true)) select current_setting('a') from w; select 1",
    ]
    const texts = [...tricky, ...corpusStatements().map(({ sql }) => sql)]
    for (const sql of texts) {
      const bytes = Buffer.from(sql)
      if (bytes.length > 400) continue
      const kinds = tokensOf(bytes)
      const whole = of(bytes)
      for (let at = 1; at < bytes.length; at++) {
        for (const blank of [' ', '\n', '/**/', '--\n']) {
          const other = Buffer.concat([
            bytes.subarray(0, at),
            Buffer.from(blank),
            bytes.subarray(at),
          ])
          if (of(other) === whole && whole !== null) expect(tokensOf(other)).toEqual(kinds)
        }
      }
    }
  })

  it('is shared only by texts of one class', () => {
    const texts = [
      ...corpusStatements().map(({ sql }) => sql),
      ...fc.sample(queryText, { numRuns: 3000, seed: 3 }),
    ]
    const classes = new Map<string, { sql: string; cls: string }>()
    const variants = texts.flatMap((sql) => [sql, withOtherLiterals(sql)])
    let shared = 0
    for (const sql of variants) {
      const key = of(sql)
      if (key === null) continue
      const found = judged(sql)
      if (found === null) continue
      const { verdict, reason, pin, effects } = found
      const cls = JSON.stringify({ verdict, reason, pin, effects })
      const known = classes.get(key)
      if (known === undefined) classes.set(key, { sql, cls })
      else if (known.sql !== sql) {
        shared++
        expect({ sql, other: known.sql, cls }).toEqual({ sql, other: known.sql, cls: known.cls })
      }
    }
    expect(shared).toBeGreaterThan(100)
  })
})

/** The text with every string and number replaced by another. */
function withOtherLiterals(sql: string): string {
  return sql.replace(/'(?:[^']|'')*'/g, "'zz'").replace(/\b\d+\b/g, '77')
}
