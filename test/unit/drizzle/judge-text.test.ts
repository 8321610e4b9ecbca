import { describe, expect, it } from 'vitest'
import { classOf, isRead } from '../../../src/drizzle/judge-text.ts'
import { Classifier } from '../../../src/sql/classifier.ts'
import { recordedCatalog } from '../../corpus/recorded-catalog.ts'

const sets = recordedCatalog()
const text = 'SELECT v FROM t'

function loaded(): Classifier {
  const classifier = new Classifier()
  classifier.setCatalog(sets)
  return classifier
}

describe('the class of a text of Drizzle', () => {
  it('is remembered without a look into the text, for each database by itself', () => {
    const classifier = loaded()
    const cls = classOf(classifier, text)
    const { hits, misses } = classifier.stats()
    expect(classOf(classifier, `SELECT v ${'FROM t'}`)).toBe(cls)
    expect(classifier.stats()).toMatchObject({ hits, misses })
    expect(classOf(new Classifier(), text).verdict).toBe('primary')
    expect(classOf(classifier, text)).toBe(cls)
  })

  it('is judged anew when the catalog has changed', () => {
    const classifier = loaded()
    expect(isRead(classOf(classifier, text))).toBe(true)
    classifier.setCatalog(null)
    expect(isRead(classOf(classifier, text))).toBe(false)
    const unsafeRelations = new Map([['t', 'is unlogged']])
    classifier.setCatalog({ ...sets, digest: 'other', unsafeRelations })
    expect(classOf(classifier, text).reason).toBe('reads t, which is unlogged')
    classifier.setCatalog(sets)
    expect(isRead(classOf(classifier, text))).toBe(true)
  })

  it('is another one when a standby has refused it', () => {
    const classifier = loaded()
    classifier.learnPrimary(classOf(classifier, text), 'a replica refused it')
    expect(isRead(classOf(classifier, text))).toBe(false)
    expect(classOf(classifier, text).reason).toBe('a replica refused it')
  })

  it('is right for more texts than are remembered, and for long ones', () => {
    const classifier = loaded()
    for (let i = 0; i < 2_500; i++) {
      expect(isRead(classOf(classifier, `SELECT v FROM t WHERE v = 'ö${i}'`))).toBe(true)
      expect(isRead(classOf(classifier, `UPDATE t SET v = ${i}`))).toBe(false)
    }
    const long = `SELECT v FROM t WHERE v = '${'ö'.repeat(100_000)}'`
    expect(isRead(classOf(classifier, long))).toBe(true)
    expect(isRead(classOf(classifier, `${long} FOR UPDATE`))).toBe(false)
  })
})
