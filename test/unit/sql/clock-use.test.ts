import { describe, expect, it } from 'vitest'
import { Classifier } from '../../../src/sql/classifier.ts'
import { hasClockWord } from '../../../src/sql/clock-use.ts'
import { recordedCatalog } from '../../corpus/recorded-catalog.ts'

const catalog = {
  ...recordedCatalog(),
  relations: new Set(['t', 'recent']),
  clockReaders: new Set(['recent', 'ask']),
}
const classifier = new Classifier()
classifier.setCatalog(catalog)

function ignoresClock(text: string): boolean {
  const bytes = Buffer.from(text)
  const cls = classifier.classify(bytes, 0, bytes.length, 'standard')
  expect(cls.verdict, text).toMatch(/^(replica|either)$/)
  return cls.ignoresClock
}

describe('a read that asks when its transaction began', () => {
  it.each([
    'SELECT now()',
    'SELECT "now"() FROM t',
    'SELECT transaction_timestamp()',
    'SELECT CURRENT_TIMESTAMP',
    'SELECT * FROM t WHERE d > current_date',
    'SELECT LocalTime',
    'SELECT age(d) FROM t',
    'SELECT * FROM recent',
    'SELECT x::date FROM t',
    'SELECT x::pg_catalog.date FROM t',
    'SELECT x::timestamp(3) with time zone FROM t',
    "SELECT ('now')::timestamptz",
    "SELECT ('to' || 'day')::date",
    "SELECT 'now'::text::timestamptz",
    'SELECT CAST(x AS date) FROM t',
    'SELECT CAST(x || y AS time) FROM t',
    'SELECT date(x) FROM t',
    'SELECT x::date[] FROM t',
    'SELECT x::daterange FROM t',
    'SELECT * FROM json_to_record(j) AS r(a date)',
    'SELECT 1; SELECT now()',
    'EXPLAIN SELECT now()',
  ])('is told by its text: %s', (text) => {
    expect(ignoresClock(text)).toBe(false)
  })

  it.each([
    'SELECT 1',
    'SELECT age, "date", t.time, now FROM t',
    'SELECT count(*) AS date FROM t',
    'SELECT clock_timestamp(), statement_timestamp()',
    "SELECT * FROM t WHERE d > '2026-01-01'::date",
    "SELECT date '2026-01-01', timestamp with time zone '2026-01-01 00:00+00'",
    "SELECT CAST('2026-01-01' AS date)",
    'SELECT $1::timestamptz',
    'SELECT x::text, x::int, x::bigint, x::double precision, x::character varying(3) FROM t',
    'SELECT CAST(x AS integer) FROM t',
    "SELECT d + interval '1 day', d AT TIME ZONE 'UTC' FROM t",
    'EXPLAIN SELECT * FROM t',
    'SELECT 1; SELECT 2',
  ])('is none of these: %s', (text) => {
    expect(ignoresClock(text)).toBe(true)
  })

  it('may be any while the catalog does not say what asks', () => {
    const other = new Classifier()
    other.setCatalog({ ...catalog, clockReaders: null, digest: 'another' })
    const bytes = Buffer.from('SELECT 1')
    expect(other.classify(bytes, 0, bytes.length, 'standard').ignoresClock).toBe(false)
  })
})

describe('words that stand for the time of the transaction', () => {
  const found = (text: string): boolean => {
    const bytes = Buffer.from(text, 'latin1')
    return hasClockWord(bytes, 0, bytes.length)
  }
  it.each([
    "SELECT 'now'",
    "'Today'::date",
    "'tomorrow 10:00'",
    "'[yesterday,today)'",
    '\0\0\0\x03now\0\0',
    // The length of the value is 97, a letter.
    `\0\0\0anow${' '.repeat(94)}`,
    "E'\\x6eow'",
    "U&'\\006eow'",
    "'to'\n'day'",
    "'to' \r\n\n  'day'",
    "'to' -- this\n'day'",
  ])('are found in %j', (text) => expect(found(text)).toBe(true))

  it.each(["'unknown'", "'snow'", "'nowhere'", "'todays'", "'epoch'", "'\\d+'", ''])(
    'are not in %j',
    (text) => expect(found(text)).toBe(false),
  )

  it('are looked for in no more than the time that a text of this length takes', () => {
    for (const part of ["'", "' ", "e'", '\n', "'\n", "'\n ", '\0\0', "'-"]) {
      expect(found(`'${part.repeat(300_000)}x`)).toBe(/^'\n/.test(part))
    }
    expect(found(`'${'\n '.repeat(500_000)}x`)).toBe(false)
  })
})
