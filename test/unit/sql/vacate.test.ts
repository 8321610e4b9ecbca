import { describe, expect, it } from 'vitest'
import { Classifier } from '../../../src/sql/classifier.ts'
import { recordedCatalog } from '../../corpus/recorded-catalog.ts'
import { classOf } from './corpus-statements.ts'

const classifier = new Classifier()
classifier.setCatalog(recordedCatalog())

describe('a database that must be left by all', () => {
  it.each([
    ['DROP DATABASE shop', 'shop'],
    ['drop database if exists "My Shop" with (force)', 'My Shop'],
    ['ALTER DATABASE shop RENAME TO store', 'shop'],
    ['ALTER DATABASE Shop SET TABLESPACE fast', 'shop'],
    ['CREATE DATABASE store', 'template1'],
    ['CREATE DATABASE store OWNER bob TEMPLATE shop', 'shop'],
    ['CREATE DATABASE store WITH TEMPLATE = "My Shop"', 'My Shop'],
  ])('of %s is %s', (sql, database) => {
    const { effects } = classOf(classifier, sql)
    expect(effects).toContainEqual({ kind: 'vacate', database })
  })

  it.each(['DROP TABLE database', 'ALTER DATABASE shop OWNER TO bob', 'DROP DATABASE'])(
    'is none of %s',
    (sql) => {
      const { effects } = classOf(classifier, sql)
      expect(effects.some(({ kind }) => kind === 'vacate')).toBe(false)
    },
  )
})
