import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ClassCache } from '../../../src/sql/class-cache.ts'
import { makeClass } from '../../../src/sql/classify-text.ts'

const cls = () => makeClass([], '', null)

describe('the class cache', () => {
  it('finds what was put in, by all three numbers', () => {
    const cache = new ClassCache(10_000)
    const one = cls()
    cache.set(1, 2, 3, one, 100)
    expect(cache.get(1, 2, 3)).toBe(one)
    expect(cache.get(1, 2, 4)).toBeUndefined()
    expect(cache.get(1, 9, 3)).toBeUndefined()
    expect(cache.get(65, 2, 3)).toBeUndefined()
    expect(cache.stats()).toMatchObject({ entries: 1, bytes: 100, hits: 1, misses: 3 })
  })

  it('keeps what is used and lets the rest go', () => {
    const cache = new ClassCache(16 * 100)
    const used = cls()
    cache.set(0, 0, 0, used, 100)
    for (let i = 1; i < 200; i++) {
      expect(cache.get(0, 0, 0)).toBe(used)
      cache.set(i, i, i, cls(), 100)
    }
    expect(cache.get(0, 0, 0)).toBe(used)
    expect(cache.stats()).toMatchObject({ entries: 16, bytes: 1600, evictions: 184 })
  })

  it('does not keep what would take more than a sixteenth', () => {
    const cache = new ClassCache(1600)
    cache.set(1, 1, 1, cls(), 101)
    expect(cache.get(1, 1, 1)).toBeUndefined()
    expect(cache.stats().bytes).toBe(0)
  })

  it('is empty after clear and usable again', () => {
    const cache = new ClassCache(1_000_000)
    for (let i = 0; i < 500; i++) cache.set(i, i, i, cls(), 100)
    cache.clear()
    expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 })
    expect(cache.get(7, 7, 7)).toBeUndefined()
    const again = cls()
    cache.set(7, 7, 7, again, 100)
    expect(cache.get(7, 7, 7)).toBe(again)
  })

  it('agrees with a map under any sequence of operations, and stays within its bytes', () => {
    const key = fc.tuple(fc.integer(), fc.nat(3), fc.nat(1))
    const operation = fc.tuple(
      fc.constantFrom('set', 'get', 'delete'),
      key,
      fc.integer({ min: 1, max: 60 }),
    )
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
        const cache = new ClassCache(960)
        const model = new Map<string, unknown>()
        for (const [what, [a, b, check], cost] of operations) {
          // Few buckets, so that chains grow long.
          const at = a & 0x0f
          const name = `${at} ${b} ${check}`
          if (what === 'set') {
            const value = cls()
            cache.set(at, b, check, value, cost)
            model.set(name, value)
          } else if (what === 'delete') {
            cache.delete(at, b, check)
            model.delete(name)
          } else {
            const found = cache.get(at, b, check)
            if (found !== undefined) expect(found).toBe(model.get(name))
          }
          expect(cache.stats().bytes).toBeLessThanOrEqual(960)
        }
      }),
    )
  })
})
