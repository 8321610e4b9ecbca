import { describe, expect, it } from 'vitest'
import { Classifier } from '../../../src/sql/classifier.ts'
import { parseDurationMs } from '../../../src/sql/hints.ts'
import { recordedCatalog } from '../../corpus/recorded-catalog.ts'
import { classOf } from './corpus-statements.ts'

const classifier = new Classifier()
classifier.setCatalog(recordedCatalog())
const hint = (sql: string) => classOf(classifier, sql).hint

describe('a hint', () => {
  it('stands in a leading comment', () => {
    expect(hint('/* pgsplit: primary */ SELECT v FROM t')).toEqual({
      route: 'primary',
      maxLagMs: null,
      consistency: null,
    })
    expect(hint(' -- pgsplit: replica, maxLag=2s\n SELECT 1')?.maxLagMs).toBe(2000)
    expect(hint('/*PgSplit:maxLag=500ms consistency=eventual route=replica*/SELECT 1')).toEqual({
      route: 'replica',
      maxLagMs: 500,
      consistency: 'eventual',
    })
    expect(hint('/* x */ /* pgsplit: primary */ SELECT 1')?.route).toBe('primary')
  })

  it('is nothing when it stands elsewhere or says nothing', () => {
    expect(hint('SELECT 1 /* pgsplit: primary */')).toBeNull()
    expect(hint('/* pgsplit: please */ SELECT 1')).toBeNull()
    expect(hint('/* not pgsplit: primary */ SELECT 1')).toBeNull()
    expect(hint("SELECT '/* pgsplit: primary */'")).toBeNull()
  })

  it('does not change what the statement is', () => {
    expect(classOf(classifier, '/* pgsplit: replica */ DELETE FROM t').verdict).toBe('primary')
  })

  it('reads durations with their unit', () => {
    expect(parseDurationMs('500')).toBe(500)
    expect(parseDurationMs('1.5s')).toBe(1500)
    expect(parseDurationMs('2min')).toBe(120_000)
    expect(parseDurationMs('-1')).toBeNull()
    expect(parseDurationMs('1 day')).toBeNull()
  })
})
