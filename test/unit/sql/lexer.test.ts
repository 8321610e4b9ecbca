import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tokenize } from '../../../src/sql/lexer.ts'

/** Tokens as source text, quoted names as `name:`. */
function lex(sql: string, backslash = false): string[] {
  const bytes = Buffer.from(sql)
  const tokens = tokenize(bytes, 0, bytes.length, backslash)
  if (typeof tokens === 'string') return [tokens]
  return Array.from({ length: tokens.length }, (_, i) => tokens.source(i, i + 1))
}

function name(sql: string): string {
  const bytes = Buffer.from(sql)
  const tokens = tokenize(bytes, 0, bytes.length, false)
  return typeof tokens === 'string' ? tokens : tokens.word(0)
}

describe('the lexer', () => {
  const cases: [what: string, sql: string, tokens: string[]][] = [
    ['a backslash is no escape in a plain string', "'a\\'; x", ["'a\\'", ';', 'x']],
    ['a backslash escapes in an E string', "E'a\\'; x' y", ["E'a\\'; x'", 'y']],
    ['a doubled quote stays inside', "'a''b' c", ["'a''b'", 'c']],
    ['a string goes on behind a newline', "'a'\n'b' c", ["'a'\n'b'", 'c']],
    ['a string goes on behind a comment and a newline', "'a' -- x\n 'b'", ["'a' -- x\n 'b'"]],
    ['a string on the same line is another one', "'a' 'b'", ["'a'", "'b'"]],
    ['a block comment does not continue a string', "'a' /*\n*/ 'b'", ["'a'", "'b'"]],
    ['a continued E string keeps its escapes', "E'a'\n'b\\'; x' y", ["E'a'\n'b\\'; x'", 'y']],
    ['comments nest', 'a /* /* */ b */ c', ['a', 'c']],
    ['a line comment ends at a carriage return', 'a --x\rb', ['a', 'b']],
    ['dollar quotes hold anything', '$q$;$$;$q$ x', ['$q$;$$;$q$', 'x']],
    ['a dollar inside a name opens nothing', 'a$$b c', ['a$$b', 'c']],
    ['a tag does not begin with a digit', '$1$ x', ['$1', '$', 'x']],
    ['an unfinished tag is no quote', '$a x', ['$', 'a', 'x']],
    ['a minus at the end leaves the operator', 'a<-1', ['a', '<', '-', '1']],
    ['it stays with one of the special characters', 'a@-1', ['a', '@-', '1']],
    ['a comment ends an operator', 'a+/*x*/b', ['a', '+', 'b']],
    ['two dashes end an operator', 'a+--x\nb', ['a', '+', 'b']],
    ['numbers take an exponent and a dot', '1.5e-3.4', ['1.5e-3', '.4']],
    ['numbers of PostgreSQL 16', '0x1F 1_000 0b11', ['0x1F', '1_000', '0b11']],
    ['a word may follow a number directly', '1or 2', ['1', 'or', '2']],
    ['prefixes', "b'1' X'f' n'x' u&'x'", ["b'1'", "X'f'", "n'x'", "u&'x'"]],
    ['a longer word is no prefix', "date'x' be'x'", ['date', "'x'", 'be', "'x'"]],
    ['a quoted name', '"a ""b"";" c', ['"a ""b"";"', 'c']],
    ['casts and colons', 'a::b[1:2]', ['a', '::', 'b', '[', '1', ':', '2', ']']],
    ['an unterminated string', "a 'b", ['unterminated']],
    ['an unterminated comment', 'a /* /* */', ['unterminated']],
    ['an unterminated name', 'a "b', ['unterminated']],
    ['an unterminated dollar quote', '$a$ $b$', ['unterminated']],
    ['an escaped quote at the end', "E'a\\'", ['unterminated']],
  ]
  it.each(cases)('knows that %s', (_what, sql, tokens) => {
    expect(lex(sql)).toEqual(tokens)
  })

  it('reads a plain string with escapes while standard_conforming_strings is off', () => {
    expect(lex("'a\\'; DELETE' x", true)).toEqual(["'a\\'; DELETE'", 'x'])
  })

  it('folds and cuts names as PostgreSQL does', () => {
    expect(name('NextVal')).toBe('nextval')
    expect(name('"NextVal"')).toBe('NextVal')
    expect(name('"a""b"')).toBe('a"b')
    expect(name('ÉA')).toBe('Éa')
    expect(name('x'.repeat(70))).toBe('x'.repeat(63))
    expect(name(`${'x'.repeat(62)}é`)).toBe('x'.repeat(62))
    expect(name(`"${'x'.repeat(62)}é"`)).toBe('x'.repeat(62))
  })

  it('never throws, and covers the text with tokens that do not overlap', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, backslash) => {
        const tokens = tokenize(bytes, 0, bytes.length, backslash)
        if (typeof tokens === 'string') return
        let last = 0
        for (let i = 0; i < tokens.length; i++) {
          expect(tokens.start(i)).toBeGreaterThanOrEqual(last)
          expect(tokens.end(i)).toBeGreaterThan(tokens.start(i))
          last = tokens.end(i)
        }
        expect(last).toBeLessThanOrEqual(bytes.length)
      }),
    )
  })

  it('never reads beyond the end it was given', () => {
    const inside = fc.constantFrom(
      "'",
      '"',
      '$$',
      '$a$',
      '/*',
      '--',
      'E',
      "E'",
      'U&',
      '1',
      '.',
      '\\',
    )
    const text = fc.array(inside, { maxLength: 6 }).map((pieces) => pieces.join(''))
    fc.assert(
      fc.property(text, text, (sql, rest) => {
        const alone = Buffer.from(sql)
        const within = Buffer.from(`${sql}${rest}'"$$*/\n`)
        const a = tokenize(alone, 0, alone.length, false)
        const b = tokenize(within, 0, alone.length, false)
        const spans = (list: typeof a) =>
          typeof list === 'string'
            ? list
            : Array.from({ length: list.length }, (_, i) => [
                list.kind(i),
                list.start(i),
                list.end(i),
              ])
        expect(spans(b)).toEqual(spans(a))
      }),
    )
  })

  it('stops at the number of tokens that it may keep', () => {
    const bytes = Buffer.from('a '.repeat(50))
    expect(tokenize(bytes, 0, bytes.length, false, 20)).toBe('too many tokens')
  })
})
