import { describe, expect, it } from 'vitest'
import { Descriptors } from '../../../src/net/descriptors.ts'

describe('open files against their limit', () => {
  it('are short before the last one is taken, however fast they are opened', () => {
    let open = 0
    let counts = 0
    const count = () => {
      counts++
      return open
    }
    const descriptors = new Descriptors(1000, count, () => 0)
    while (open < 2000) {
      open++
      if (descriptors.isShort()) break
    }
    expect(open).toBeGreaterThan(900)
    expect(open).toBeLessThan(1000)
    expect(counts).toBe(1)
  })

  it('are counted again after a while', () => {
    let open = 990
    let nowMs = 0
    const descriptors = new Descriptors(
      1000,
      () => open,
      () => nowMs,
    )
    expect(descriptors.isShort()).toBe(true)
    open = 10
    nowMs = 200
    expect(descriptors.isShort()).toBe(false)
  })

  it('are never short where the limit is not known', () => {
    expect(new Descriptors(null, () => 5_000_000).isShort()).toBe(false)
  })

  it('know the limit of this process', () => {
    if (process.platform === 'linux') expect(new Descriptors().limit).toBeGreaterThan(0)
  })
})
