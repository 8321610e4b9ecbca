import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { Classifier } from '../../../src/sql/classifier.ts'
import { tokenize } from '../../../src/sql/lexer.ts'
import { recordedCatalog } from '../../corpus/recorded-catalog.ts'
import { classOf, corpusStatements, isRead } from './corpus-statements.ts'
import { queryText } from './query-grammar.ts'
import { findUnsafe, loadOracle } from './tree-oracle.ts'

const sets = recordedCatalog()
const classifier = new Classifier()
classifier.setCatalog(sets)

/** Fails when our classifier trusts a text in which PostgreSQL's grammar finds something unsafe. */
function assertAgrees(sql: string): void {
  const { verdict, reason } = classOf(classifier, sql)
  if (!isRead(verdict)) return
  const unsafe = findUnsafe(sql, sets)
  // No server runs a text that the grammar refuses.
  if (unsafe === 'not valid') return
  expect({ sql, verdict, reason, unsafe }).toEqual({ sql, verdict, reason, unsafe: null })
}

/** Raised for a long search by hand: `PGSPLIT_ORACLE_RUNS=200000 npx vitest …/oracle.test.ts`. */
const RUNS = Number(process.env.PGSPLIT_ORACLE_RUNS ?? 3000)

beforeAll(loadOracle)

describe("our classifier beside PostgreSQL's own grammar", { timeout: 600_000 }, () => {
  it('trusts no statement of the corpus in whose tree something is unsafe', () => {
    for (const { sql } of corpusStatements()) assertAgrees(sql)
  })

  it('trusts no generated query in whose tree something is unsafe', () => {
    fc.assert(fc.property(queryText, assertAgrees), { numRuns: RUNS })
  })

  it('judges most generated queries that are valid and safe to be reads', () => {
    let safe = 0
    let found = 0
    for (const sql of fc.sample(queryText, { numRuns: 2000, seed: 7 })) {
      if (findUnsafe(sql, sets) !== null) continue
      safe++
      if (isRead(classOf(classifier, sql).verdict)) found++
    }
    expect(safe).toBeGreaterThan(50)
    expect(found / safe).toBeGreaterThan(0.8)
  })

  it('trusts no spliced corpus statement in whose tree something is unsafe', () => {
    const pieces = corpusStatements()
      .filter(({ sql }) => sql.length < 400)
      .map(({ sql }) => tokenTexts(sql))
    const piece = fc.constantFrom(...pieces)
    const spliced = fc
      .tuple(piece, piece, fc.nat(), fc.nat(), fc.nat())
      .map(([a, b, at, from, to]) => splice(a, b, at, from, to))
    fc.assert(fc.property(spliced, assertAgrees), { numRuns: RUNS })
  })
})

function tokenTexts(sql: string): string[] {
  const bytes = Buffer.from(sql)
  const tokens = tokenize(bytes, 0, bytes.length, false)
  if (typeof tokens === 'string') return [sql]
  return Array.from({ length: tokens.length }, (_, i) => tokens.source(i, i + 1))
}

/** Puts some tokens of `b` in the place of some of `a`. */
function splice(a: string[], b: string[], at: number, from: number, to: number): string {
  const start = at % (a.length + 1)
  const first = from % (b.length + 1)
  const last = first + (to % (b.length - first + 1))
  const kept = a.slice(start + (to % 3))
  return [...a.slice(0, start), ...b.slice(first, last), ...kept].join(' ')
}
