import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CatalogSets } from '../../../src/sql/catalog-sets.ts'
import { Classifier } from '../../../src/sql/classifier.ts'
import type { LexMode } from '../../../src/sql/lexer.ts'
import { recordedCatalog } from '../../corpus/recorded-catalog.ts'
import { classOf, isRead } from './corpus-statements.ts'

const sets = recordedCatalog()

function loaded(more: Partial<CatalogSets> = {}): Classifier {
  const classifier = new Classifier()
  classifier.setCatalog({ ...sets, ...more })
  return classifier
}

describe('the classifier', { timeout: 60_000 }, () => {
  it('returns the identical object for texts that differ in literals', () => {
    const classifier = loaded()
    const one = classOf(classifier, 'SELECT v FROM t WHERE id = 1')
    expect(classOf(classifier, 'select v from t where id = 42;'.replace(';', ''))).toBe(one)
    expect(classifier.stats()).toMatchObject({ entries: 1, hits: 1, misses: 1 })
  })

  it('sends what reads to the primary until the catalog is there, and again without it', () => {
    const classifier = new Classifier()
    expect(classOf(classifier, 'SELECT 1')).toMatchObject({ verdict: 'primary' })
    classifier.setCatalog(sets)
    const read = classOf(classifier, 'SELECT v FROM t')
    expect(read.verdict).toBe('replica')
    const version = classifier.catalogVersion
    classifier.setCatalog(null)
    expect(classifier.catalogVersion).not.toBe(version)
    expect(classOf(classifier, 'SELECT v FROM t')).toMatchObject({
      verdict: 'primary',
      reason: 'the catalog is not loaded yet',
    })
    expect(classOf(classifier, 'BEGIN').verdict).toBe('control')
    // The same sets again: what was known is still true.
    classifier.setCatalog({ ...sets })
    expect(classOf(classifier, 'SELECT v FROM t')).toBe(read)
  })

  it('knows every type that a literal is read in as, or a column is declared as', () => {
    const classifier = loaded()
    for (const sql of [
      "SELECT neu '5'",
      "SELECT public.neu '5'",
      "SELECT neu(1) '5'",
      'SELECT "neu" E\'5\'',
      "SELECT neu U&'5'",
      'SELECT neu $$5$$',
      'SELECT public."neu"(1, 2) \'5\'',
      "SELECT zone '5'",
      "SELECT by '5'",
      "SELECT like '5'",
      "SELECT v, escape '5' FROM t",
      "SELECT CAST('5' AS neu)",
      "SELECT CAST('5' AS public.neu)",
      "SELECT json_value('{}', '$' RETURNING neu)",
      "SELECT * FROM json_to_record('{}') AS x (a neu)",
      "SELECT * FROM json_to_record('{}') x (b int, a public.neu)",
      "SELECT * FROM json_table('[]', '$' COLUMNS (a neu PATH '$'))",
      "SELECT * FROM xmltable('/a' PASSING '<a/>' COLUMNS a neu PATH '.')",
    ]) {
      expect(classOf(classifier, sql), sql).toMatchObject({ verdict: 'primary' })
    }
    for (const sql of [
      "SELECT date '2024-01-01', pg_catalog.date '2024-01-01', numeric(5,2) '1.5'",
      "SELECT double precision '5', character varying '5', interval '1 day', timestamp(3) '2024-01-01'",
      "SELECT v FROM t WHERE v LIKE 'a' ESCAPE '!' ORDER BY 1 OFFSET 1 FETCH FIRST 5 ROWS ONLY",
      'SELECT v FROM t WHERE id BETWEEN 1 AND 2 AND id IN (1) GROUP BY 1 LIMIT 5',
      "SELECT now() AT TIME ZONE 'utc', timestamp with time zone '2024-01-01', CASE WHEN (id = 1) THEN 2 ELSE 3 END FROM t",
      'SELECT DISTINCT ON (id) 5, sum(id) OVER (ORDER BY id ROWS 5 PRECEDING) FROM t',
      "SELECT * FROM json_to_record('{}') AS x (a int, b double precision, c character varying(5))",
      "SELECT trim(both 'x' from v), substring(v from 2 for 3), extract('year' from now()) FROM t",
      'SELECT sum(id) OVER w FROM t WINDOW w AS (PARTITION BY v ORDER BY 1)',
    ]) {
      expect(isRead(classOf(classifier, sql).verdict), sql).toBe(true)
    }
  })

  it('forgets what other sets had judged', () => {
    const classifier = loaded()
    expect(classOf(classifier, 'SELECT v FROM t').verdict).toBe('replica')
    const unsafeRelations = new Map([['t', 'is unlogged']])
    classifier.setCatalog({ ...sets, digest: 'other', unsafeRelations })
    expect(classOf(classifier, 'SELECT v FROM t')).toMatchObject({
      verdict: 'primary',
      reason: 'reads t, which is unlogged',
    })
  })

  it('still pins for what the last catalog knew to change the session while it is read anew', () => {
    const classifier = loaded({ sessionFunctions: new Map([['f_stable', 'runs SET']]) })
    classifier.setCatalog(null)
    expect(classOf(classifier, 'SELECT f_stable()').pin?.why).toBe(
      'calls f_stable(), which runs SET',
    )
  })

  it('doubts what names something that may be changing, and nothing else', () => {
    const classifier = loaded()
    const other = classOf(classifier, 'SELECT v FROM t')
    classifier.setCatalog(sets, new Set(['t2', '<+>', 'f']))
    expect(classOf(classifier, 'SELECT v FROM t').verdict).toBe('replica')
    for (const text of [
      'SELECT * FROM s."t2"',
      'SELECT 1 <+> 2',
      'SELECT x.f FROM t x',
      'TABLE t2',
    ]) {
      expect(classOf(classifier, text).reason).toContain(', which may be changing')
    }
    expect(classifier.isUnsafeType(16_384)).toBe(true)
    expect(classifier.isUnsafeType(25)).toBe(false)
    classifier.setCatalog(sets)
    expect(classOf(classifier, 'SELECT v FROM t')).toBe(other)
  })

  it.each([
    "SELECT 'a' NOT LIKE 'b', v NOT ILIKE 'b' FROM t",
    "SELECT 'a' NOT SIMILAR TO 'b', substring('a' SIMILAR 'b' ESCAPE '#')",
  ])('knows that the literal in %s is of no type', (text) => {
    expect(isRead(classOf(loaded(), text).verdict)).toBe(true)
  })

  it('learns from a standby that refused a statement', () => {
    const classifier = loaded()
    const cls = classOf(classifier, 'SELECT f_stable() + 1')
    expect(isRead(cls.verdict)).toBe(true)
    classifier.learnPrimary(cls, 'refused by r1: 25006')
    expect(cls.learned).toBe('refused by r1: 25006')
    const again = classOf(classifier, 'SELECT f_stable() + 2')
    expect(again).toMatchObject({ verdict: 'primary', learned: 'refused by r1: 25006' })
    expect(classOf(classifier, 'SELECT f_stable() + 3')).toBe(again)
    expect(classifier.stats().learned).toBe(1)
    // The cache may lose the class, not the lesson.
    const small = new Classifier({ cacheBytes: 16 * 700 })
    small.setCatalog(sets)
    small.learnPrimary(classOf(small, 'SELECT f_stable()'), 'refused')
    for (let i = 0; i < 100; i++) classOf(small, `SELECT 1 AS a${i}`)
    expect(classOf(small, 'SELECT f_stable()').verdict).toBe('primary')
  })

  it('forgets what it has learned after a while, and whoever holds the class sees that', () => {
    const classifier = loaded()
    const cls = classOf(classifier, 'SELECT f_stable()')
    classifier.learnPrimary(cls, 'refused')
    classifier.forgetLearned()
    const { catalogVersion } = classifier
    expect(classOf(classifier, 'SELECT f_stable()').verdict).toBe('primary')
    classifier.forgetLearned()
    expect(classifier.catalogVersion).not.toBe(catalogVersion)
    expect(isRead(classOf(classifier, 'SELECT f_stable()').verdict)).toBe(true)
    expect(classifier.stats().learned).toBe(0)
    expect(classifier.learnPrimary(classOf(classifier, 'SELECT f_stable()'), 'refused')).toBe(true)
  })

  it('bounds what it has learned', () => {
    const classifier = loaded()
    for (let i = 0; i < 5000; i++) {
      classifier.learnPrimary(classOf(classifier, `SELECT v AS a${i} FROM t`), 'refused')
    }
    expect(classifier.stats().learned).toBe(4096)
  })

  it('tells what only want of knowledge keeps from being a read from what is against it', () => {
    const classifier = loaded({})
    const ignorance = (sql: string) => classOf(classifier, sql).ignorance
    for (const sql of [
      'SELECT * FROM nowhere',
      'SELECT nothing_such(1)',
      'EXPLAIN SELECT * FROM nowhere',
      'DECLARE c CURSOR FOR SELECT * FROM nowhere',
      'COPY (SELECT * FROM nowhere) TO STDOUT',
      "SELECT 'a'::no_type, nextval('s')",
    ]) {
      expect(ignorance(sql), sql).toBe('unknown name')
    }
    for (const sql of ['SELECT 1', "SELECT nextval('s'), nothing_such(1)", 'DELETE FROM nowhere']) {
      expect(ignorance(sql), sql).toBeNull()
    }
    classifier.setCatalog(null)
    expect(ignorance('SELECT 1')).toBe('no catalog')
    expect(ignorance('EXPLAIN SELECT 1')).toBeNull()
    expect(ignorance("SELECT nextval('s')")).toBeNull()
  })

  it('pins on texts too long to be read', () => {
    const classifier = new Classifier({ maxTextBytes: 100, maxTokens: 30 })
    classifier.setCatalog(sets)
    const long = classOf(classifier, `SELECT '${'x'.repeat(200)}'`)
    expect([long.verdict, long.pin?.why]).toEqual(['pin', expect.stringContaining('too long')])
    expect(classOf(classifier, 'SELECT 1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1').verdict).toBe('pin')
  })

  it('looks no further than the tokens that it may have', () => {
    const classifier = new Classifier({ maxTokens: 30 })
    classifier.setCatalog(sets)
    // Whatever comes behind them: here a quote that nothing closes, megabytes elsewhere.
    for (const part of ['(', 'a,', 'f(1),', '1;', 'a.b ', '"q" ']) {
      const { pin, verdict } = classOf(classifier, `SELECT ${part.repeat(40)} '`)
      expect([part, verdict, pin?.why]).toEqual([part, 'pin', expect.stringContaining('too long')])
    }
    // A list of values is one token for who knows a shorter one.
    const inList = (count: number) => `SELECT v FROM t WHERE v IN (${'1,'.repeat(count)}2)`
    expect(classOf(classifier, inList(2)).verdict).toBe('replica')
    expect(classOf(classifier, inList(500)).verdict).toBe('replica')
  })

  it('judges no read while backslashes escape, but finds effects', () => {
    const classifier = loaded()
    const mode = 'escape'
    expect(classOf(classifier, 'SELECT v FROM t', mode)).toMatchObject({
      verdict: 'primary',
      reason: 'standard_conforming_strings is off',
    })
    expect(classOf(classifier, "SET a = 'x\\'; LISTEN b'", mode).parts).toHaveLength(1)
    expect(classOf(classifier, "SET a = 'x\\'; LISTEN b --'", 'standard').parts).toHaveLength(2)
    // The modes don't share classes.
    expect(classOf(classifier, 'SELECT v FROM t').verdict).toBe('replica')
  })

  it('reads effects in an encoding that can hide quotes, and pins where it cannot', () => {
    const classifier = loaded()
    const classify = (bytes: number[], mode: LexMode) => {
      const text = Uint8Array.from(bytes)
      return classifier.classify(text, 0, text.length, mode)
    }
    const ascii = (sql: string) => [...Buffer.from(sql)]
    expect(classify(ascii('BEGIN'), 'unsafe-encoding').verdict).toBe('control')
    expect(classify(ascii('SELECT 1'), 'unsafe-encoding').verdict).toBe('primary')
    const kana = [0x83, 0x5c]
    const hidden = [...ascii("SELECT E'"), ...kana, ...ascii("'; LISTEN a --'")]
    expect(classify(hidden, 'unsafe-encoding').verdict).toBe('pin')
  })

  it('trusts only ASCII names of a client in another encoding', () => {
    const classifier = loaded({ relations: new Set(['t', 'é']) })
    const mode = 'foreign-encoding'
    expect(classOf(classifier, 'SELECT v FROM é').verdict).toBe('replica')
    expect(classOf(classifier, 'SELECT v FROM é', mode).verdict).toBe('primary')
    expect(classOf(classifier, "SELECT v FROM t WHERE v = 'é'", mode).verdict).toBe('replica')
  })

  it('says which parameter types may write by being read', () => {
    expect(new Classifier().isUnsafeType(23)).toBe(true)
    const classifier = loaded({ unsafeTypeOids: new Set([20_000]) })
    expect(classifier.isUnsafeType(23)).toBe(false)
    expect(classifier.isUnsafeType(20_000)).toBe(true)
  })

  it('keeps every read from the replicas when the catalog says so', () => {
    const classifier = loaded({ everything: 'the cast from int4 to text calls f()' })
    expect(classOf(classifier, 'SELECT v FROM t').verdict).toBe('primary')
  })

  it('never throws on any bytes in any mode', () => {
    const modes: LexMode[] = ['standard', 'escape', 'unsafe-encoding', 'foreign-encoding']
    const word = fc.constantFrom(
      'select',
      'from',
      '(',
      ')',
      '[',
      ']',
      ',',
      ';',
      "'",
      '"',
      '$$',
      'as',
      'with',
      'set',
      'begin',
      'create',
      'function',
      'atomic',
      'case',
      'end',
      'copy',
      'to',
      'explain',
      'prepare',
      'declare',
      'set_config',
      'current_setting',
      '.',
      'a',
      '1',
      '/*',
      '--',
      '\n',
      'for',
      'join',
      'values',
      'reset',
      'time',
      'session',
      'transaction',
      'fetch',
      'execute',
      'do',
      'U&"x"',
      '\u0000',
      '{',
    )
    const text = fc.oneof(
      fc.uint8Array({ maxLength: 120 }),
      fc.array(word, { maxLength: 25 }).map((words) => Buffer.from(words.join(' '))),
    )
    const classifier = loaded()
    fc.assert(
      fc.property(text, fc.constantFrom(...modes), (bytes, mode) => {
        const cls = classifier.classify(bytes, 0, bytes.length, mode)
        expect(cls.reason.length).toBeGreaterThan(0)
      }),
      { numRuns: 5000 },
    )
  })

  it('reads hostile texts in one pass', () => {
    // Each of these takes PostgreSQL's own scanner seconds (quadratic).
    const classifier = loaded()
    const n = 100_000
    const texts = [
      '/*'.repeat(n),
      '+'.repeat(n),
      '('.repeat(n),
      "'a'\n".repeat(n),
      '$a$b'.repeat(n),
    ]
    texts.push(`SELECT ${'1+'.repeat(n)}1`, `SELECT ${'a.'.repeat(n)}b`, `SELECT ${'"'.repeat(n)}`)
    texts.push(`SELECT ${'$$ $'.repeat(n)}`, `SELECT x${'::int'.repeat(n)}`, 'e'.repeat(n))
    texts.push(`SELECT ${'as '.repeat(n)}`, `WITH ${'a as (select 1),'.repeat(n / 10)} select 1`)
    texts.push(
      `${'begin;'.repeat(n / 10)}`,
      `SELECT ${'[1]'.repeat(n)}`,
      `SELECT ${"E'\\".repeat(n)}`,
    )
    const bytes = texts.map((sql) => Buffer.from(sql))
    const started = process.cpuUsage()
    for (const text of bytes) classifier.classify(text, 0, text.length, 'standard')
    const { user } = process.cpuUsage(started)
    // Far beyond what 6 MB need, far below what a square of it would.
    expect(user / 1e6).toBeLessThan(20)
  })
})
