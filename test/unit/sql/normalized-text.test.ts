import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tokenize } from '../../../src/sql/lexer.ts'
import { normalizedText } from '../../../src/sql/normalized-text.ts'

function normal(text: string): string {
  const bytes = Buffer.from(text)
  const tokens = tokenize(bytes, 0, bytes.length, false)
  if (typeof tokens === 'string') throw new Error(tokens)
  return normalizedText(tokens)
}

describe('a normalised text', () => {
  it.each([
    ['SELECT  a FROM t WHERE id = 17', 'select a from t where id = ?'],
    ["SELECT 'x', E'\\'y', $$z$$, B'1', -1.5e3", 'select ?, -?'],
    ['SELECT * FROM t WHERE id IN (1, 2,3)', 'select * from t where id in (?)'],
    ["INSERT INTO t VALUES (1, 'a'), (2, 'b')", 'insert into t values (?)'],
    [
      'SELECT "Name" FROM "T" -- secret\n/* secret */ WHERE a = $1',
      'select "Name" from "T" where a = $1',
    ],
    ['SET app.key = hidden', 'set app.key = ?'],
    ["SET app.key TO hidden, 'too'; SELECT 1", 'set app.key to ?; select ?'],
    ['ALTER ROLE r SET app.key TO hidden', 'alter role r set app.key to ?'],
    ["ALTER ROLE r PASSWORD 'hidden'", 'alter role r password ?'],
    ["CREATE ROLE r LOGIN PASSWORD 'hidden'", 'create role r login password ?'],
    ["NOTIFY c, 'hidden'", 'notify c, ?'],
    ['UPDATE t SET a = b, c = 5', 'update t set a = b, c = ?'],
    ['DO $$BEGIN hidden; END$$', 'do ?'],
    ['', ''],
  ])('of %s is %s', (text, expected) => {
    expect(normal(text)).toBe(expected)
  })

  it('has nothing of any literal', () => {
    const literal = fc.stringMatching(/^[a-z0-9 ]{0,20}$/).map((text) => `QXZ${text}QXZ`)
    fc.assert(
      fc.property(literal, literal, fc.nat(), (one, other, number) => {
        const texts = [
          `SELECT '${one}' || $tag$${other}$tag$, 77${number}77`,
          `SET my.setting = '${one}'`,
          `SELECT set_config('my.setting', '${one}', false)`,
          `EXECUTE p('${one}', 77${number}77)`,
          `COMMENT ON TABLE t IS '${one}'`,
          `CREATE USER MAPPING FOR u SERVER s OPTIONS (user '${one}', password '${other}')`,
          `ALTER SYSTEM SET x = '${one}'`,
        ]
        for (const text of texts) expect(normal(text)).not.toMatch(/qxz|77/i)
      }),
    )
  })

  it('is cut when it is long', () => {
    const text = normal(`SELECT ${Array.from({ length: 5000 }, (_, i) => `c${i}`).join(', ')}`)
    expect(text.length).toBeLessThanOrEqual(1_000)
    expect(text.endsWith('…')).toBe(true)
  })
})
