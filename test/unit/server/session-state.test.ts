import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SessionState, stateChanges } from '../../../src/server/session-state.ts'
import { isTrackableName, stateSyncMessages } from '../../../src/server/state-sync.ts'
import { Cursor } from '../../../src/wire/cursor.ts'

const name = fc.constantFrom('a', 'b', 'my.tenant', 'role', 'session_authorization', 'search_path')
const plain = fc.tuple(name, fc.string({ maxLength: 5 }))
const known = fc.tuple(fc.constantFrom('my.tenant', 'my.user'), fc.constant(null))
const entries = fc.array(fc.oneof({ arbitrary: plain, weight: 4 }, known), { maxLength: 6 })

const orders = ['settings first', 'identity first'] as const

describe('a session state', () => {
  it('is the same object for equal settings, in whatever order they were made', () => {
    fc.assert(
      fc.property(entries, (list) => {
        const map = new Map(list)
        let made = SessionState.empty
        for (const [key, value] of map) {
          made = value === null ? made.knowing([key]) : made.with(key, value)
        }
        expect(made).toBe(SessionState.of([...map].reverse()))
        let emptied = made
        for (const key of map.keys()) emptied = emptied.without(key)
        // What is left of a custom parameter is that it is known.
        const customs = [...map.keys()].filter((key) => key.includes('.')).sort()
        expect(emptied).toBe(SessionState.empty.knowing(customs))
        expect(emptied.customs).toEqual(customs)
        for (const key of map.keys()) expect(emptied.get(key)).toBeUndefined()
      }),
    )
  })

  it('differs for names and values that look alike when put side by side', () => {
    expect(
      SessionState.of([
        ['a', 'b'],
        ['c', 'd'],
      ]),
    ).not.toBe(SessionState.of([['a', 'b","c":"d']]))
    expect(SessionState.of([['ab', 'c']])).not.toBe(SessionState.of([['a', 'bc']]))
  })

  it('is reached by its changes from any other, settings or identity first', () => {
    fc.assert(
      fc.property(entries, entries, fc.constantFrom(...orders), (from, to, order) => {
        const source = SessionState.of(from)
        const target = SessionState.of(to)
        const changes = stateChanges(source, target, order)
        const state = new Map(source.entries)
        for (const { name, value } of changes) {
          if (value === null && name.includes('.')) state.set(name, null)
          else if (value === null) state.delete(name)
          else state.set(name, value)
          // As the server does it: a new session user has no role.
          if (name === 'session_authorization') state.delete('role')
        }
        const reached = target.knowing(source.customs)
        expect(SessionState.of(state)).toBe(reached)
        expect(source.canBecome(target)).toBe(reached === target)
        // Nothing is said that is so already.
        expect(changes.some((change) => change.isNew && source.entries.has(change.name))).toBe(
          false,
        )
        const isIdentity = changes.map(({ name }) => /^(role|session_authorization)$/.test(name))
        const values = changes.map(({ value }) => value)
        const isSetting = (i: number): boolean => isIdentity[i] === false
        for (const [i, value] of values.entries()) {
          if (!isIdentity[i]) continue
          // As whom the settings are made: who logged in, or the session's own role.
          if (order === 'settings first' && value === null) {
            expect(isIdentity.slice(0, i)).not.toContain(false)
          } else if (order === 'settings first') {
            expect(isIdentity.slice(i)).not.toContain(false)
          } else
            expect(values.slice(i).every((own, at) => !isSetting(i + at) || own !== null)).toBe(
              true,
            )
        }
        if (source === target) expect(changes).toEqual([])
      }),
    )
  })
})

describe('the messages that carry settings over', () => {
  it('hold values as parameters only, and end with Sync', () => {
    fc.assert(
      fc.property(entries, entries, (from, to) => {
        const changes = stateChanges(SessionState.of(from), SessionState.of(to))
        if (changes.length === 0) return
        const bytes = stateSyncMessages(changes)
        const texts: string[] = []
        let at = 0
        let types = ''
        while (at < bytes.length) {
          const end = at + 1 + bytes.readInt32BE(at + 1)
          types += String.fromCharCode(bytes.readUInt8(at))
          if (types.endsWith('P')) {
            const cursor = new Cursor(bytes, at + 5, end)
            cursor.string()
            texts.push(cursor.string())
          }
          at = end
        }
        expect(types).toMatch(/^(P?BE)+S$/)
        expect(types.match(/E/g)).toHaveLength(changes.length)
        for (const text of texts) {
          expect(text).toMatch(
            /^(SELECT pg_catalog\.set_config\(\$1, (\$2, false|coalesce\(pg_catalog\.current_setting\(\$1, true\), ''\), true)\)|RESET ("[a-z_.$0-9]+"(\."[a-z_.$0-9]+")*|ROLE|SESSION AUTHORIZATION))$/,
          )
        }
      }),
    )
  })

  it('refuse a name that could break out of RESET', () => {
    for (const bad of ['a"b', 'a b', 'a;b', '', 'A', '1a', 'a..b', 'a'.repeat(128)]) {
      expect(isTrackableName(bad)).toBe(false)
      expect(() => stateSyncMessages([{ name: bad, value: null }])).toThrow()
    }
    expect(isTrackableName('my.tenant_id$1')).toBe(true)
  })
})
