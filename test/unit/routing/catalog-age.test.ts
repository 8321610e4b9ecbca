import { describe, expect, it } from 'vitest'
import { CatalogAge, type CatalogVerdict } from '../../../src/routing/catalog-age.ts'

function setUp() {
  const heard: CatalogVerdict[] = []
  const positions: ((lsn: bigint) => void)[] = []
  let looks = 0
  let nowMs = 0
  let replayed = 0n
  const age = new CatalogAge({
    look: () => void looks++,
    positionAfterNow: (callback) => void positions.push(callback),
    replayed: () => replayed,
    timeoutMs: 20,
    nowMs: () => nowMs,
  })
  return {
    age,
    heard,
    looks: () => looks,
    at: (ms: number) => {
      nowMs = ms
    },
    replay: (lsn: bigint) => {
      replayed = lsn
    },
    /** Answers all questions for a position. */
    position: (lsn: bigint) => {
      for (const callback of positions.splice(0)) callback(lsn)
    },
    ask: () => age.ask(1, (verdict) => void heard.push(verdict)),
  }
}

describe('what a replica may lack of the catalog', () => {
  it('is told by a look that began after the error, not by an earlier one', () => {
    const { age, heard, ask, at, position, replay, looks } = setUp()
    age.seen('a', 0)
    position(5n)
    replay(5n)
    at(10)
    ask()
    expect([heard, looks()]).toEqual([[], 1])
    age.seen('a', 9)
    expect(heard).toEqual([])
    age.seen('a', 10)
    expect(heard).toEqual(['current'])
  })

  it('is all that has changed, until the replica has replayed a later position of the primary', () => {
    const { age, heard, ask, position, replay, looks } = setUp()
    age.seen('a', 0)
    position(5n)
    replay(5n)
    ask()
    age.seen('b', 1)
    expect(heard).toEqual(['behind'])
    // No position yet, and then one that the replica has not.
    ask()
    position(9n)
    ask()
    expect([heard, looks()]).toEqual([['behind', 'behind', 'behind'], 1])
    replay(9n)
    ask()
    age.seen('b', 2)
    expect(heard.at(-1)).toBe('current')
  })

  it('goes by the last change: a position that was asked for before it counts for nothing', () => {
    const { age, ask, heard, position, replay } = setUp()
    replay(5n)
    age.seen('a', 0)
    age.noteChange()
    position(5n)
    expect(age.isBehind(1)).toBe(false)
    age.noteChange()
    expect(age.isBehind(1)).toBe(true)
    ask()
    expect(heard).toEqual(['behind'])
  })

  it('is unknown when no look comes in time, and nobody is told who has left', async () => {
    const { heard, ask, age } = setUp()
    ask()
    ask()()
    await expect.poll(() => heard).toEqual(['unknown'])
    age.seen('a', 1)
    expect(heard).toEqual(['unknown'])
  })

  it('is nothing before the first look', () => {
    expect(setUp().age.isBehind(1)).toBe(false)
  })
})
