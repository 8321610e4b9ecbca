import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CatalogRows, Row } from '../../../src/catalog/catalog-rows.ts'
import { Closure } from '../../../src/catalog/closure.ts'
import { Dependents } from '../../../src/catalog/dependents.ts'
import { deriveSets } from '../../../src/catalog/derive-sets.ts'
import type { CatalogSets } from '../../../src/sql/catalog-sets.ts'

/** Objects of each kind: `f0` … functions, `t0` … types, `r0` … relations, `o0` … operators. */
const SIZE = 6
const FUNCTIONS = 20_000
const TYPES = 30_000
const RELATIONS = 40_000
const OPERATORS = 50_000
const ROW_TYPES = 31_000
const BUILT_IN = [
  { oid: '23', name: 'int4' },
  { oid: '25', name: 'text' },
]
const FILLER: Row = {
  oid: '3209',
  name: 'jsonb_populate_record',
  language: 'internal',
  kind: 'f',
  volatility: 's',
}

const index = fc.integer({ min: 0, max: SIZE - 1 })
const maybe = <T>(what: fc.Arbitrary<T>) => fc.option(what, { freq: 3 })

/** A reference in a stored expression tree. */
const reference = fc.oneof(
  index.map((i) => `funcid ${FUNCTIONS + i}`),
  index.map((i) => `relid ${RELATIONS + i}`),
  index.map((i) => `resulttype ${TYPES + i}`),
  index.map((i) => `opno ${OPERATORS + i}`),
  fc.constant('TABLEFUNC '),
)
const tree = fc.array(reference, { maxLength: 2 }).map((found) => found.join(','))
const source = fc.oneof(
  fc.constantFrom('SELECT 1', 'SELECT 1 <+> 2', 'SELECT 1 @@@ 2'),
  index.map((i) => `SELECT f${i}()`),
  index.map((i) => `SELECT * FROM r${i}`),
  index.map((i) => `SELECT x::t${i}`),
)
const anyType = fc.oneof(
  index.map((i) => TYPES + i),
  index.map((i) => ROW_TYPES + i),
  fc.constantFrom(23, 25),
)

const functions = fc.array(fc.record({ tree: maybe(tree), source, returns: anyType }), {
  minLength: SIZE,
  maxLength: SIZE,
})
const types = fc.array(
  fc.record({
    base: maybe(index),
    element: maybe(index),
    input: maybe(index),
    checks: maybe(tree),
  }),
  { minLength: SIZE, maxLength: SIZE },
)
const relations = fc.array(
  fc.record({ tree: maybe(tree), column: maybe(index), parent: maybe(index) }),
  { minLength: SIZE, maxLength: SIZE },
)
const operators = fc.array(
  fc.record({
    name: fc.constantFrom('<+>', '@@@', '=', '~~'),
    fn: index,
    left: anyType,
    right: anyType,
  }),
  { maxLength: 3 },
)
const casts = fc.array(
  fc.record({
    fn: index,
    source: anyType,
    target: anyType,
    context: fc.constantFrom('i', 'a', 'e'),
  }),
  { maxLength: 2 },
)
const aggregates = fc.array(index, { maxLength: 2 })

const catalogs = fc
  .record({ functions, types, relations, operators, casts, aggregates })
  .map(rowsOf)

interface Made {
  readonly functions: readonly { tree: string | null; source: string; returns: number }[]
  readonly types: readonly {
    base: number | null
    element: number | null
    input: number | null
    checks: string | null
  }[]
  readonly relations: readonly {
    tree: string | null
    column: number | null
    parent: number | null
  }[]
  readonly operators: readonly { name: string; fn: number; left: number; right: number }[]
  readonly casts: readonly { fn: number; source: number; target: number; context: string }[]
  readonly aggregates: readonly number[]
}

function rowsOf(made: Made): CatalogRows {
  const oid = (from: number, i: number | null) => (i === null ? '0' : String(from + i))
  return {
    serverVersion: 150_000,
    functions: [
      ...made.functions.map((fn, i) => ({
        oid: oid(FUNCTIONS, i),
        name: `f${i}`,
        volatility: 's',
        kind: 'f',
        language: 'sql',
        args: '1',
        source: fn.source,
        tree: fn.tree,
        returns: String(fn.returns),
      })),
      ...made.aggregates.map((_, i) => ({
        oid: String(FUNCTIONS + 100 + i),
        name: `agg${i}`,
        volatility: 'i',
        kind: 'a',
        language: 'internal',
      })),
      FILLER,
    ],
    aggregates: made.aggregates.map((fn, i) => ({
      oid: String(FUNCTIONS + 100 + i),
      parts: oid(FUNCTIONS, fn),
    })),
    operators: made.operators.map((operator, i) => ({
      oid: oid(OPERATORS, i),
      name: operator.name,
      function: oid(FUNCTIONS, operator.fn),
      left_type: String(operator.left),
      right_type: String(operator.right),
    })),
    casts: made.casts.map((cast) => ({
      source: String(cast.source),
      target: String(cast.target),
      function: oid(FUNCTIONS, cast.fn),
      context: cast.context,
    })),
    types: [
      ...BUILT_IN,
      ...made.types.map((type, i) => ({
        oid: oid(TYPES, i),
        name: `t${i}`,
        base: oid(TYPES, type.base),
        element: oid(TYPES, type.element),
        functions: oid(FUNCTIONS, type.input),
        checks: type.checks,
      })),
      ...made.relations.map((_, i) => ({
        oid: oid(ROW_TYPES, i),
        name: `r${i}`,
        relation: oid(RELATIONS, i),
      })),
    ],
    relations: made.relations.map((_, i) => ({
      oid: oid(RELATIONS, i),
      name: `r${i}`,
      kind: 'r',
      persistence: 'p',
    })),
    columns: made.relations.flatMap(({ column }, i) =>
      column === null ? [] : [{ relation: oid(RELATIONS, i), types: oid(TYPES, column) }],
    ),
    trees: made.relations.flatMap((relation, i) =>
      relation.tree === null
        ? []
        : [{ relation: oid(RELATIONS, i), source: 'view', tree: relation.tree }],
    ),
    inheritance: made.relations.flatMap(({ parent }, i) =>
      parent === null ? [] : [{ parent: oid(RELATIONS, parent), child: oid(RELATIONS, i) }],
    ),
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
}

/** The same with one object changed for the worse. */
function worse(rows: CatalogRows, name: string): CatalogRows {
  const change = (part: readonly Row[], more: Row): readonly Row[] =>
    part.map((row) => (row.name === name ? { ...row, ...more } : row))
  const writes = { oid: '29999', name: 'writes', volatility: 'v', kind: 'f', language: 'c' }
  return {
    ...rows,
    functions: [...change(rows.functions, { volatility: 'v' }), writes],
    relations: change(rows.relations, { persistence: 'u' }),
    types: name.startsWith('t') ? change(rows.types, { checks: 'funcid 29999' }) : rows.types,
    columns: name.startsWith('r')
      ? [...rows.columns, { relation: String(RELATIONS + Number(name.slice(1))), types: '39999' }]
      : rows.columns,
  }
}

/** What is unsafe, by name. */
function unsafe(sets: CatalogSets): Set<string> {
  return new Set([
    ...sets.unsafeFunctions.keys(),
    ...sets.unsafeRelations.keys(),
    ...sets.unsafeTypes.keys(),
    ...sets.unsafeOperators.keys(),
  ])
}

describe('what depends on a name', () => {
  it('is all that the closure finds unsafe when what has it changes for the worse', () => {
    fc.assert(
      fc.property(catalogs, fc.constantFrom('f', 't', 'r'), index, (rows, kind, i) => {
        const name = `${kind}${i}`
        const closure = new Closure(rows)
        const dependents = new Dependents(rows, closure).of([name])
        if (dependents === null) return
        const before = deriveSets(rows, closure)
        const after = deriveSets(worse(rows, name))
        expect(after.everything).toBe(before.everything)
        const known = unsafe(before)
        const missing = [...unsafe(after)].filter(
          (found) => found !== 'writes' && !known.has(found) && !dependents.has(found),
        )
        expect(missing).toEqual([])
      }),
      { numRuns: 400 },
    )
  })

  it('is bounded: what has nothing to do with it is not among it', () => {
    const rows = rowsOf({
      functions: [
        { tree: null, source: 'SELECT f1()', returns: 23 },
        { tree: null, source: 'SELECT 1', returns: 23 },
        { tree: null, source: 'SELECT * FROM r0', returns: 23 },
      ],
      types: [],
      relations: [
        { tree: 'funcid 20000', column: null, parent: 1 },
        { tree: null, column: null, parent: null },
        { tree: null, column: null, parent: null },
      ],
      operators: [],
      casts: [],
      aggregates: [],
    })
    const dependents = new Dependents(rows, new Closure(rows))
    expect(dependents.of(['r2'])).toEqual(new Set(['r2', 'jsonb_populate_record']))
    expect(dependents.of(['f1'])).toEqual(
      new Set(['f1', 'f0', 'r0', 'r1', 'f2', 'jsonb_populate_record']),
    )
    expect(dependents.of(['never heard of'])).toEqual(new Set(['never heard of']))
    expect(dependents.of(['='])).toBeNull()
  })
})
