import { describe, expect, it } from 'vitest'
import { Classifier } from '../../../src/sql/classifier.ts'
import { recordedCatalog } from '../../corpus/recorded-catalog.ts'
import { classOf, corpusFigures, corpusStatements, isRead } from './corpus-statements.ts'

const sets = recordedCatalog()
const classifier = new Classifier()
classifier.setCatalog(sets)

describe('the corpus against the recorded catalog of PostgreSQL 15', { timeout: 60_000 }, () => {
  const figures = corpusFigures(classifier, 15)

  it('sends no statement that needs the primary to a replica', () => {
    expect(figures.misrouted).toEqual([])
  })

  it('keeps at least 97 % of the reads for the replicas', () => {
    expect(figures.reads).toBeGreaterThan(100)
    expect(figures.lost.length / figures.reads).toBeLessThanOrEqual(0.03)
  })

  it('judges statements of later versions without sending one to a replica by mistake', () => {
    expect(corpusFigures(classifier, 99).misrouted).toEqual([])
  })

  it('sends nothing that reads to a replica while no catalog is loaded', () => {
    const blind = new Classifier()
    const routed = corpusStatements().filter(({ sql }) => isRead(classOf(blind, sql).verdict))
    expect(routed.map(({ sql }) => sql)).toEqual(['-- just a comment', ';', '/* x */'])
  })

  it('gives the same class from the cache and from a fresh look', () => {
    for (const { sql } of corpusStatements()) {
      const fresh = new Classifier()
      fresh.setCatalog(sets)
      const cached = classOf(classifier, sql)
      // What can't be lexed has no fingerprint.
      if (!cached.reason.includes('unterminated')) expect(classOf(classifier, sql)).toBe(cached)
      const { verdict, reason, pin, effects } = classOf(fresh, sql)
      expect({ verdict, reason, pin, effects }).toEqual({
        verdict: cached.verdict,
        reason: cached.reason,
        pin: cached.pin,
        effects: cached.effects,
      })
    }
  })
})
