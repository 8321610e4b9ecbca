import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseDuration } from '../../../src/duration.ts'
import { Classifier } from '../../../src/sql/classifier.ts'
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
      commitVisible: null,
      unread: '',
    })
    expect(hint(' -- pgsplit: replica, maxLag=2s\n SELECT 1')?.maxLagMs).toBe(2000)
    expect(hint('/*PgSplit:maxLag=500ms consistency=eventual route=replica*/SELECT 1')).toEqual({
      route: 'replica',
      maxLagMs: 500,
      consistency: 'eventual',
      commitVisible: null,
      unread: '',
    })
    expect(hint('/* x */ /* pgsplit: primary */ SELECT 1')?.route).toBe('primary')
  })

  it('is nothing when it stands elsewhere or says nothing', () => {
    expect(hint('SELECT 1 /* pgsplit: primary */')).toBeNull()
    expect(hint('/* pgsplit: */ SELECT 1')).toBeNull()
    expect(hint('/* not pgsplit: primary */ SELECT 1')).toBeNull()
    expect(hint("SELECT '/* pgsplit: primary */'")).toBeNull()
  })

  it('does not change what the statement is', () => {
    expect(classOf(classifier, '/* pgsplit: replica */ DELETE FROM t').verdict).toBe('primary')
  })

  it('reads a duration as the configuration does, whatever its spelling', () => {
    const number = fc.oneof(fc.nat(100_000).map(String), fc.constantFrom('1.5', '0.001', '-1'))
    const unit = fc.constantFrom('', 'us', 'ms', 's', 'm', 'min', 'h', 'd', 'MS', 'weeks')
    fc.assert(
      fc.property(number, fc.constantFrom('', ' '), unit, (value, blank, name) => {
        const text = `${value}${blank}${name}`
        const read = hint(`/* pgsplit: maxLag=${text} */ SELECT 1`)
        expect(read?.maxLagMs ?? undefined).toBe(parseDuration(text))
      }),
    )
  })

  it('keeps what is not understood, to be told', () => {
    const unread = (sql: string) => hint(sql)?.unread
    expect(unread('/* pgsplit: maxLag=1x, primary */ SELECT 1')).toBe('maxLag=1x')
    expect(unread('/* pgsplit: please */ SELECT 1')).toBe('please')
    expect(unread('/* pgsplit: route=standby consistency=strong lag=1s */ SELECT 1')).toBe(
      'route=standby consistency=strong lag=1s',
    )
    expect(unread('/* pgsplit: primary */ SELECT 1')).toBe('')
  })
})
