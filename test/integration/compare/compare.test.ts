import { beforeAll, describe, expect, it } from 'vitest'
import { type Comparison, compareAll } from './compare-all.ts'
import { knownDifferences } from './known-differences.ts'
import { allTalks } from './talks/all-talks.ts'

const only = process.env.PGSPLIT_COMPARE_ONLY
const talks = only === undefined ? allTalks : allTalks.filter(({ name }) => name.includes(only))

let comparison: Comparison

beforeAll(async () => {
  comparison = await compareAll(talks)
}, 300_000)

describe('8 sessions on 2 server connections per node hear byte for byte what PostgreSQL says', () => {
  it('has at least 300 conversations, each of a name of its own', () => {
    if (only === undefined) expect(talks.length).toBeGreaterThanOrEqual(300)
    expect(new Set(talks.map(({ name }) => name)).size).toBe(talks.length)
  })

  it('differs on purpose in conversations that there are', () => {
    const names = new Set(allTalks.map(({ name }) => name))
    expect(Object.keys(knownDifferences).filter((name) => !names.has(name))).toEqual([])
  })

  it.each(talks.map(({ name }) => name))('%s', (name) => {
    const expected = comparison.direct.get(name) ?? []
    expect(expected.filter((line) => line.startsWith('!'))).toEqual([])
    for (const round of comparison.proxied) {
      const heard = round.get(name) ?? []
      expect(heard.filter((line) => line.startsWith('!'))).toEqual([])
      if (!(name in knownDifferences)) expect(heard).toEqual(expected)
    }
  })
})
