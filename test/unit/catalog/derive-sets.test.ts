import { describe, expect, it } from 'vitest'
import type { CatalogRows, Row } from '../../../src/catalog/catalog-rows.ts'
import { deriveSets } from '../../../src/catalog/derive-sets.ts'

const NOTHING: CatalogRows = {
  serverVersion: 150_000,
  functions: [],
  aggregates: [],
  operators: [],
  casts: [],
  types: [],
  relations: [],
  columns: [],
  trees: [],
  inheritance: [],
  triggers: [],
  rules: [],
  expressions: [],
  foreignKeys: [],
  eventTriggers: [],
  operatorClasses: [],
  classUses: [],
  handlers: [],
  nodeParameters: [],
}

function sets(rows: Partial<CatalogRows>) {
  return deriveSets({ ...NOTHING, ...rows })
}

function fn(oid: number, name: string, more: Row = {}): Row {
  const row = { oid: String(oid), name, volatility: 's', kind: 'f', language: 'sql', args: '1' }
  return { ...row, ...more }
}

const WRITES = fn(20_000, 'w', { volatility: 'v' })
const INT = { oid: '23', name: 'int4', kind: 'b' }
const TEXT = { oid: '25', name: 'text', kind: 'b' }
const MOOD = { oid: '20100', name: 'mood', kind: 'e', array: '20101' }
const MOODS = { oid: '20101', name: '_mood', kind: 'b', element: '20100' }

describe('the sets of a catalog', () => {
  it('judge a name by its worst overload', () => {
    const found = sets({
      functions: [fn(20_001, 'f', { volatility: 'i' }), { ...WRITES, name: 'f' }],
    })
    expect(found.functions.has('f')).toBe(false)
    expect(found.unsafeFunctions.get('f')).toBe('is declared VOLATILE')
    expect(found.attributeFunctions.has('f')).toBe(true)
  })

  it('trust a harmless built-in only while nobody has made another of its name', () => {
    const random = fn(1598, 'random', { volatility: 'v', language: 'internal', args: '0' })
    expect(sets({ functions: [random] }).pureFunctions.has('random')).toBe(true)
    const both = sets({ functions: [random, fn(20_000, 'random', { volatility: 'v' })] })
    expect(both.unsafeFunctions.has('random')).toBe(true)
  })

  it('follow calls through sources, defaults and bodies until nothing is left', () => {
    const found = sets({
      functions: [
        fn(20_003, 'c', { source: 'SELECT b()' }),
        fn(20_002, 'b', { source: 'SELECT "a"/**/()' }),
        fn(20_001, 'a', { tree: 'funcid 20000' }),
        fn(20_004, 'good', { source: 'SELECT 1' }),
        fn(20_005, 'dynamic', { language: 'plpgsql', source: 'EXECUTE x' }),
        WRITES,
      ],
    })
    expect([...found.unsafeFunctions.keys()].sort()).toEqual(['a', 'b', 'c', 'dynamic', 'w'])
    expect(found.functions.has('good')).toBe(true)
  })

  it('give up on everything when an implicit cast between built-in types may write', () => {
    const cast = { source: '23', target: '25', function: '20000', context: 'i' }
    const found = sets({ functions: [WRITES], types: [INT, TEXT], casts: [cast] })
    expect(found.everything).toContain('the cast from int4 to text')
    expect(found.warnings[0]).toContain('no statement is read from a replica')
    const explicit = sets({
      functions: [WRITES],
      types: [INT, TEXT],
      casts: [{ ...cast, context: 'e' }],
    })
    expect(explicit.everything).toBeNull()
    expect(explicit.unsafeTypes.has('text')).toBe(true)
  })

  it('taint a type, not every "=", when its comparison may write', () => {
    const operator = {
      oid: '20200',
      name: '=',
      function: '20000',
      left_type: '20100',
      right_type: '23',
    }
    const found = sets({
      functions: [WRITES],
      types: [INT, MOOD, MOODS],
      operators: [operator],
      relations: [{ oid: '20300', name: 'moods', kind: 'r', persistence: 'p' }],
      columns: [{ relation: '20300', types: '20101' }],
    })
    expect([...found.unsafeTypes.keys()].sort()).toEqual(['_mood', 'mood'])
    expect([...found.unsafeTypeOids].sort()).toEqual([20_100, 20_101])
    expect(found.unsafeRelations.get('moods')).toContain('column of type _mood')
    expect(found.unsafeOperators.size).toBe(0)
    expect(found.everything).toBeNull()
    const builtIn = sets({
      functions: [WRITES],
      types: [INT, TEXT],
      operators: [{ ...operator, left_type: '25' }],
    })
    expect(builtIn.everything).toContain('operator =')
  })

  it('carry unsafe children up to their parents and views', () => {
    const relation = (oid: number, name: string, kind: string, persistence = 'p') => ({
      oid: String(oid),
      name,
      kind,
      persistence,
    })
    const found = sets({
      relations: [
        relation(1, 'parent', 'p'),
        relation(2, 'child', 'p'),
        relation(3, 'leaf', 'r', 'u'),
        relation(4, 'view', 'v'),
        relation(5, 'locking', 'v'),
        relation(6, 'plain', 'r'),
      ],
      inheritance: [
        { parent: '1', child: '2' },
        { parent: '2', child: '3' },
      ],
      trees: [
        { relation: '4', source: 'view', tree: 'relid 1,funcid 1' },
        { relation: '5', source: 'view', tree: 'relid 6,ROWMARKCLAUSE' },
      ],
    })
    expect([...found.unsafeRelations].sort()).toEqual([
      ['child', 'has the child leaf'],
      ['leaf', 'is unlogged'],
      ['locking', 'locks rows'],
      ['parent', 'has the child child'],
      ['view', 'reads parent'],
    ])
    expect([...found.relations]).toEqual(['plain'])
  })

  it('know which functions change the session or the catalog, also through others', () => {
    const found = sets({
      functions: [
        fn(20_001, 'locks', { volatility: 'v', source: 'PERFORM pg_advisory_lock(1)' }),
        fn(20_002, 'outer_locks', { volatility: 'v', source: 'PERFORM locks()' }),
        fn(20_003, 'local_only', { volatility: 'v', source: "PERFORM set_config('a', 'b', true)" }),
        fn(20_004, 'makes', { volatility: 'v', source: 'CREATE TABLE x()' }),
        fn(20_005, 'scratch', { volatility: 'v', source: 'CREATE TEMP TABLE x()' }),
      ],
    })
    // About all of it the server can be asked afterwards.
    expect(found.sessionFunctions.size).toBe(0)
    expect(Object.fromEntries(found.sessionEffects)).toEqual({
      locks: [{ kind: 'advisory-lock' }],
      outer_locks: [{ kind: 'advisory-lock' }],
      scratch: [{ kind: 'temp' }],
    })
    expect([...found.ddlFunctions]).toEqual(['makes'])
  })

  it('have a digest that depends on what they hold and not on the order of rows', () => {
    const a = fn(20_001, 'a')
    const b = fn(20_002, 'b')
    expect(sets({ functions: [a, b] }).digest).toBe(sets({ functions: [b, a] }).digest)
    expect(sets({ functions: [a] }).digest).not.toBe(sets({ functions: [a, b] }).digest)
  })
})
