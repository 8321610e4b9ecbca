import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { splitAdminText } from '../../../src/admin/admin-text.ts'
import { type AdminAction, actionHelp, parseAction } from '../../../src/admin/parse-action.ts'
import { PgSplitError } from '../../../src/errors.ts'

const parse = (text: string): AdminAction | null => parseAction(splitAdminText(text)[0] ?? [])

/** A name that stands without quotes: folded to lower case, as PostgreSQL does. */
const plainName = fc
  .stringMatching(/^[a-z][a-z0-9_.:-]{0,20}$/)
  .filter((name) => !name.includes('--') && name !== 'for')

const quotedName = fc.stringMatching(/^[A-Za-z0-9 _.:;-]{1,20}$/)
const blank = fc.constantFrom(' ', '\n', '  ', ' /* why */ ')
const letters = fc.func(fc.boolean()).map((isUpper) => (text: string) => {
  return [...text].map((one, i) => (isUpper(i) ? one.toUpperCase() : one)).join('')
})

describe('commands that do something', () => {
  it.each<[string, AdminAction]>([
    ['PAUSE', { kind: 'pause', cluster: null }],
    ['pause main;', { kind: 'pause', cluster: 'main' }],
    ['RESUME "Main"', { kind: 'resume', cluster: 'Main' }],
    ['DRAIN r1', { kind: 'drain', node: 'r1' }],
    ['UNDRAIN main.r1', { kind: 'undrain', node: 'main.r1' }],
    ['DRAIN db-1.local:5432', { kind: 'drain', node: 'db-1.local:5432' }],
    ['BAN r1', { kind: 'ban', node: 'r1', duration: null }],
    ['BAN r1 FOR 30s', { kind: 'ban', node: 'r1', duration: '30s' }],
    ["BAN 'r1' FOR '5 min'", { kind: 'ban', node: 'r1', duration: '5 min' }],
    ['UNBAN r1', { kind: 'unban', node: 'r1' }],
    ['RELOAD', { kind: 'reload' }],
    ['SHUTDOWN', { kind: 'shutdown', mode: 'wait' }],
    ['SHUTDOWN WAIT', { kind: 'shutdown', mode: 'wait' }],
    ['SHUTDOWN NOW', { kind: 'shutdown', mode: 'now' }],
    ['KILL 12', { kind: 'kill', client: 12 }],
    ['KILL cl12', { kind: 'kill', client: 12 }],
    ['KILL_CLIENT 12', { kind: 'kill', client: 12 }],
  ])('%s is understood', (text, action) => {
    expect(parse(text)).toEqual(action)
  })

  it.each([
    'DRAIN',
    'BAN',
    'BAN FOR 30s',
    'BAN r1 FOR',
    'RELOAD now',
    'SHUTDOWN later',
    'SHUTDOWN WAIT NOW',
    'KILL',
    'KILL everything',
    'KILL -1',
    "DRAIN ''",
    'DRAIN "a" "b"',
    'DRAIN a, b',
  ])('%s is refused, and its hint says how it is written', (text) => {
    const keyword = text.split(' ')[0] ?? ''
    const error = (() => {
      try {
        return parse(text)
      } catch (thrown) {
        return thrown
      }
    })()
    expect(error).toBeInstanceOf(PgSplitError)
    expect(error).toMatchObject({ sqlstate: '42601' })
    expect((error as PgSplitError).hint).toContain(`Write ${keyword} `.trimEnd())
  })

  it('leaves everything else to others', () => {
    for (const text of ['SHOW NODES', 'SELECT 1', 'SUSPEND', '']) expect(parse(text)).toBeNull()
  })

  it('takes any name, plain in any case or quoted as it is', () => {
    fc.assert(
      fc.property(plainName, blank, letters, (name, gap, spell) => {
        const action = parse(spell(`ban${gap}${name}${gap}for${gap}30s`))
        expect(action).toEqual({ kind: 'ban', node: name, duration: '30s' })
      }),
    )
    fc.assert(
      fc.property(quotedName, blank, fc.constantFrom('"', "'"), (name, gap, quote) => {
        expect(parse(`DRAIN${gap}${quote}${name}${quote}`)).toEqual({ kind: 'drain', node: name })
      }),
    )
  })

  it('never fails but with a syntax error that has a hint', () => {
    const word = fc.oneof(
      fc.constantFrom('pause', 'ban', 'for', 'kill', 'shutdown', 'reload', 'drain', ',', '""'),
      fc.string({ maxLength: 8 }),
    )
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (tokens) => {
        try {
          parseAction(tokens)
        } catch (error) {
          expect(error).toMatchObject({ sqlstate: '42601' })
        }
      }),
    )
  })

  it('is written in SHOW HELP as it is understood', () => {
    for (const [syntax] of actionHelp) {
      const filled = syntax
        .replace(/ \[.*/, '')
        .replace(/\bclient\b/, '1')
        .replace(/\bnode\b/, 'r1')
      expect(parse(filled)).not.toBeNull()
    }
  })
})
