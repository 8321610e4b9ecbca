import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { notableRelations, rowsOf } from '../../../src/catalog/notable-relations.ts'
import {
  arrayNameOf,
  noRelations,
  type Relation,
  Relations,
} from '../../../src/catalog/relations.ts'

function relation(oid: number, name: string, more: Partial<Relation> = {}): Relation {
  const type = 50_000 + oid
  const plain = { oid, name, kind: 'r', persistence: 'p', type, array: type + 1, arrayName: null }
  return { ...plain, ...more }
}

const names = ['a', '_a', '__a', 'b', '_b']
const anyRelation = fc
  .record({
    oid: fc.integer({ min: 20_000, max: 20_012 }),
    name: fc.constantFrom(...names),
    kind: fc.constantFrom('r', 'v', 'c', 'S', 'p'),
    persistence: fc.constantFrom('p', 'u'),
    hasType: fc.boolean(),
    arrayName: fc.constantFrom(null, '__a', '_x'),
  })
  .map(({ oid, name, kind, persistence, hasType, arrayName }) =>
    relation(oid, name, {
      kind,
      persistence,
      arrayName: hasType ? arrayName : null,
      ...(hasType ? {} : { type: 0, array: 0 }),
    }),
  )
const anyStep = fc.record({
  changed: fc.array(anyRelation, { maxLength: 6 }),
  gone: fc.array(fc.integer({ min: 20_000, max: 20_012 }), { maxLength: 4 }),
})

describe('the relations of a database', () => {
  it('are what they would be if each change were made in a plain map, and so are those before', () => {
    fc.assert(
      fc.property(fc.array(anyRelation), fc.array(anyStep, { maxLength: 8 }), (first, steps) => {
        const map = new Map(first.map((one) => [one.oid, one]))
        let relations = Relations.of(map.values())
        expectSame(relations, map)
        for (const { changed, gone } of steps) {
          const before = new Map(map)
          const last = relations
          const news = [...new Map(changed.map((one) => [one.oid, one])).values()]
          for (const one of news) map.set(one.oid, one)
          for (const oid of gone) map.delete(oid)
          relations = last.with(news, gone)
          expectSame(relations, map)
          expectSame(last, before)
        }
        expect(relations.all([...map.values()])).toBe(relations)
      }),
    )
  })

  it('are others only if something is another', () => {
    const relations = Relations.of([relation(1, 'a'), relation(2, 'b')])
    expect(relations.with([relation(1, 'a')], [7])).toBe(relations)
    expect(relations.with([relation(1, 'c')], []).version).not.toBe(relations.version)
    expect(noRelations.size).toBe(0)
  })

  it('stay small steps apart however many come', () => {
    let relations = noRelations
    for (let i = 0; i < 3_000; i++) relations = relations.with([relation(i, `t${i}`)], [i - 10])
    expect(relations.size).toBe(10)
    expect(relations.hasRelation('t2995')).toBe(true)
    expect(relations.hasRelation('t2000')).toBe(false)
  })
})

function expectSame(relations: Relations, map: ReadonlyMap<number, Relation>): void {
  const all = [...map.values()]
  const oids = (some: Iterable<Relation>): number[] => [...some].map(({ oid }) => oid).sort()
  expect(oids(relations)).toEqual(oids(all))
  expect(relations.size).toBe(map.size)
  for (const one of all) expect(relations.get(one.oid)).toEqual(one)
  const plain = ({ kind, persistence }: Relation) => 'rp'.includes(kind) && persistence === 'p'
  expect(oids(relations.special())).toEqual(oids(all.filter((one) => !plain(one))))
  for (const name of [...names, '_x', '___a']) {
    const named = all.filter((one) => one.name === name)
    const arrays = all.filter((one) => arrayNameOf(one) === name)
    expect(oids(relations.named(name))).toEqual(oids(named))
    expect(oids(new Set(relations.withArrays(name)))).toEqual(oids(arrays))
    expect(relations.hasRelation(name)).toBe(named.some(({ kind }) => kind !== 'c'))
    const types = [...named.map(({ type }) => type), ...arrays.map(({ array }) => array)]
    expect(relations.hasType(name)).toBe(types.some((oid) => oid > 0))
  }
}

describe('notable relations', () => {
  const none = { columns: [], trees: [], triggers: [], rules: [], expressions: [] }
  const parts = { ...none, classUses: [], handlers: [], inheritance: [], foreignKeys: [] }
  const all = Relations.of([
    relation(1, 'plain'),
    relation(2, 'view', { kind: 'v' }),
    relation(3, 'triggered'),
    relation(4, 'parent'),
    relation(5, 'grandparent'),
    relation(6, 'referenced'),
    relation(7, 'unlogged', { persistence: 'u' }),
  ])
  const notable = (more: Partial<typeof parts> | object): string[] =>
    notableRelations({ ...parts, ...more }, all).map(({ name }) => name)

  it('are those that are no plain tables', () => {
    expect(notable({})).toEqual(['view', 'unlogged'])
  })

  it('are those that something hangs on, and what a use of their kin comes to', () => {
    const triggers = [{ relation: '3' }]
    const inheritance = [
      { child: '3', parent: '4' },
      { child: '4', parent: '5' },
      { child: '1', parent: '5' },
    ]
    const foreignKeys = [
      { relation: '3', referenced: '6' },
      { relation: '1', referenced: '6' },
    ]
    const found = notable({ triggers, inheritance, foreignKeys })
    expect(found).toEqual(['view', 'triggered', 'parent', 'grandparent', 'referenced', 'unlogged'])
    expect(notable({ inheritance, foreignKeys })).toEqual(['view', 'unlogged'])
  })

  it('have rows for themselves, their row types and the arrays of those', () => {
    const { relations, types } = rowsOf([relation(7, 'a', { type: 70, array: 71 })])
    expect(relations.map(({ oid }) => oid)).toEqual(['7'])
    expect(types.map(({ oid, name }) => `${oid} ${name}`)).toEqual(['70 a', '71 _a'])
  })
})
