import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memberKey } from '../../../src/discovery/member.ts'
import { Roster, type RosterChange, type Standing } from '../../../src/discovery/roster.ts'
import { list, member } from './lists.ts'

const there = (): Standing => 'there'
const short = (changes: readonly RosterChange[]) => changes.map(({ kind, key }) => `${kind} ${key}`)

describe('the roster', () => {
  it('lets those join that a first list names', () => {
    const roster = new Roster([], 1000)
    expect(short(roster.take(list([member('a'), member('b')]), 0, there))).toEqual([
      'join a@a:5432',
      'join b@b:5432',
    ])
    expect(roster.take(list([member('b'), member('a')]), 10, there)).toEqual([])
  })

  it('lets a member leave that was missing for long enough, and not before', () => {
    const roster = new Roster([], 1000)
    roster.take(list([member('a'), member('b')]), 0, there)
    expect(roster.take(list([member('a')]), 100, there)).toEqual([])
    expect(roster.take(list([member('a'), member('b')]), 900, there)).toEqual([])
    expect(roster.take(list([member('a')]), 1000, there)).toEqual([])
    expect(roster.take(list([member('a')]), 1999, there)).toEqual([])
    expect(roster.take(list([member('a')]), 2000, there)).toEqual([
      { kind: 'leave', key: 'b@b:5432', missingMs: 1000 },
    ])
  })

  it('keeps a primary that serves, whatever the list says', () => {
    const roster = new Roster([], 0)
    roster.take(list([member('a'), member('b')]), 0, there)
    const needed = (key: string): Standing => (key === 'a@a:5432' ? 'needed' : 'there')
    expect(roster.take(list([member('b')]), 5000, needed)).toEqual([])
    expect(short(roster.take(list([member('b')]), 6000, there))).toEqual(['leave a@a:5432'])
  })

  it('takes nobody for gone while Patroni is paused, nor the pause for absence', () => {
    const roster = new Roster([], 1000)
    roster.take(list([member('a'), member('b')]), 0, there)
    expect(roster.take(list([member('b')], { isPaused: true }), 5000, there)).toEqual([])
    expect(roster.take(list([member('b')]), 6000, there)).toEqual([])
    expect(short(roster.take(list([member('b')]), 7000, there))).toEqual(['leave a@a:5432'])
  })

  it('tells that a member has moved, and lets the old place leave later', () => {
    const roster = new Roster([], 1000)
    roster.take(list([member('a')]), 0, there)
    const moved = member('a', { host: '10.0.0.9' })
    expect(roster.take(list([moved]), 10, there)).toEqual([
      { kind: 'join', key: 'a@10.0.0.9:5432', member: moved, replaces: 'a@a:5432' },
    ])
    expect(short(roster.take(list([moved]), 1010, there))).toEqual(['leave a@a:5432'])
  })

  it('takes a member in again that comes back while it still leaves', () => {
    const roster = new Roster([], 0)
    roster.take(list([member('a')]), 0, there)
    expect(short(roster.take(list([member('b')]), 1, there))).toEqual([
      'join b@b:5432',
      'leave a@a:5432',
    ])
    expect(short(roster.take(list([member('a'), member('b')]), 2, there))).toEqual([
      'join a@a:5432',
    ])
    const leaving = (key: string): Standing => (key === 'a@a:5432' ? 'leaving' : 'there')
    expect(short(roster.take(list([member('a'), member('b')]), 3, leaving))).toEqual([
      'join a@a:5432',
    ])
  })

  it('tells of another claim, tag or zone', () => {
    const roster = new Roster([], 0)
    roster.take(list([member('a')]), 0, there)
    const leader = member('a', { claim: 'leader, running', isLeader: true })
    expect(roster.take(list([leader]), 1, there)).toEqual([
      { kind: 'update', key: 'a@a:5432', member: leader },
    ])
    expect(roster.take(list([leader]), 2, there)).toEqual([])
    const shy = { ...leader, isBalanced: false }
    expect(short(roster.take(list([shy]), 3, there))).toEqual(['update a@a:5432'])
  })

  it('keeps the nodes of the file, and knows them by their address', () => {
    const roster = new Roster([{ name: 'primary', host: 'A.example', port: 5432 }], 0)
    const same = member('pg1', { host: 'a.EXAMPLE' })
    expect(short(roster.take(list([same, member('b')]), 0, there))).toEqual([
      'update primary@a.example:5432',
      'join b@b:5432',
    ])
    expect(short(roster.take(list([member('b')]), 9000, there))).toEqual([])
  })

  it('gives every node a name of its own', () => {
    const roster = new Roster([{ name: 'a', host: 'x', port: 1 }], 0)
    const twice = [member('a', { host: 'y' }), member('a', { host: 'z' })]
    expect(short(roster.take(list(twice), 0, there))).toEqual([
      'join a@y:5432@y:5432',
      'join a@z:5432@z:5432',
    ])
  })

  it('takes two of one address for one', () => {
    const roster = new Roster([], 0)
    const twins = [member('a', { host: 'h' }), member('b', { host: 'h' })]
    expect(short(roster.take(list(twins), 0, there))).toEqual(['join a@h:5432'])
    expect(roster.take(list(twins), 1, there)).toEqual([])
  })

  it('brings a member again that could not be taken in', () => {
    const roster = new Roster([], 0)
    roster.take(list([member('a')]), 0, there)
    roster.forget('a@a:5432')
    expect(short(roster.take(list([member('a')]), 1, there))).toEqual(['join a@a:5432'])
  })

  it('comes to hold exactly what the last list names, after any history', () => {
    const one = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      host: fc.constantFrom('h1', 'h2', 'h3', 'h4', 'h5'),
      isLeader: fc.boolean(),
    })
    const lists = fc.array(fc.array(one, { maxLength: 6 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(lists, (history) => {
        const roster = new Roster([], 100)
        const present = new Map<string, string>()
        let nowMs = 0
        const take = (members: readonly { name: string; host: string }[]): void => {
          const made = members.map(({ name, ...given }) => member(name, given))
          for (const change of roster.take(list(made), nowMs, there)) {
            if (change.kind === 'join') {
              expect(present.has(change.key)).toBe(false)
              if (change.replaces !== null) expect(present.has(change.replaces)).toBe(true)
              present.set(change.key, `${change.member.host}:${change.member.port}`)
              expect(change.key).toBe(memberKey(change.member))
            } else expect(present.has(change.key)).toBe(true)
            if (change.kind === 'leave') present.delete(change.key)
          }
          expect([...present.keys()].sort()).toEqual([...roster.keys].sort())
          expect(new Set(present.values()).size).toBe(present.size)
          nowMs += 40
        }
        for (const members of history) take(members)
        const last = history.at(-1) ?? []
        for (let i = 0; i < 4; i++) take(last)
        const hosts = new Set(last.map(({ host }) => `${host}:5432`))
        expect(new Set(present.values())).toEqual(hosts)
      }),
    )
  })
})
