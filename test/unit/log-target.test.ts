import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { maxQueuedBytes, QueuedTarget } from '../../src/log-target.ts'

/** Takes at most so many bytes of a write; null: fails with ENOSPC. */
type Step = number | null

function failing(): never {
  throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
}

describe('a queued log target', () => {
  it('writes every line whole and in order, or counts it in the place where it is missing', () => {
    const steps = fc.array(fc.option(fc.nat(40_000)), { maxLength: 60 })
    const sizes = fc.array(fc.integer({ min: 1, max: 60_000 }), { maxLength: 40 })
    fc.assert(
      fc.property(steps, sizes, (steps, sizes) => {
        vi.useFakeTimers()
        try {
          const { text, reasons } = written(steps, sizes)
          let next = 0
          for (const line of text.split('\n').slice(0, -1)) {
            const lost = /^lost (\d+)$/.exec(line)
            if (lost === null) {
              expect(line.startsWith(`${next}:`)).toBe(true)
              expect(line).toHaveLength(`${next}:`.length + (sizes[next] ?? 0))
              next++
            } else next += Number(lost[1])
          }
          expect(text === '' || text.endsWith('\n')).toBe(true)
          expect(next).toBe(sizes.length)
          for (const reason of reasons) expect(['ENOSPC', 'blocked']).toContain(reason)
        } finally {
          vi.useRealTimers()
        }
      }),
    )
  })

  it('keeps no more than its bound however much is logged', () => {
    let isBlocked = true
    let bytesOut = 0
    const target = new QueuedTarget(
      (bytes) => {
        if (isBlocked) return 0
        bytesOut += bytes.length
        return bytes.length
      },
      (lines) => `lost ${lines}\n`,
    )
    for (let n = 0; n < 20_000; n++) target.write(`${'x'.repeat(1000)}\n`)
    isBlocked = false
    target.flush()
    expect(bytesOut).toBeLessThanOrEqual(maxQueuedBytes + 'lost 20000\n'.length)
    expect(bytesOut).toBeGreaterThan(maxQueuedBytes / 2)
  })
})

/** What came out, when the target has done its steps and takes everything from then on. */
function written(steps: readonly Step[], sizes: readonly number[]) {
  let text = ''
  const reasons: string[] = []
  const left = [...steps]
  const target = new QueuedTarget(
    (bytes) => {
      const step = left.length === 0 ? bytes.length : (left.shift() as Step)
      if (step === null) return failing()
      text += bytes.toString('latin1', 0, step)
      return Math.min(step, bytes.length)
    },
    (lines, reason) => {
      reasons.push(reason)
      return `lost ${lines}\n`
    },
  )
  for (const [n, size] of sizes.entries()) {
    target.write(`${n}:${'x'.repeat(size)}\n`)
    if (size % 3 === 0) vi.advanceTimersByTime(1000)
  }
  vi.advanceTimersByTime(1_000_000)
  return { text, reasons }
}
