import { TestingError } from './testing-error.ts'

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 } as const
/** `recovery_min_apply_delay` is a 32-bit number of milliseconds. */
const MOST_MS = 2 ** 31 - 1

/** Milliseconds of a lag like 200, `200ms`, `1.5s` or `2min`. Throws TestingError. */
export function parseLagMs(lag: string | number): number {
  const [, digits = '', unit = 'ms'] = /^(\d+(?:\.\d+)?)(ms|s|min|m|h)?$/.exec(`${lag}`) ?? []
  const ms = Math.round(Number(digits) * UNIT_MS[unit as keyof typeof UNIT_MS])
  if (digits !== '' && ms <= MOST_MS) return ms
  throw new TestingError(
    `the lag ${JSON.stringify(lag)} is none; give milliseconds, or a text like '200ms' or '2s'`,
  )
}
