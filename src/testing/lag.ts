import { parseDuration } from '../duration.ts'
import { TestingError } from './testing-error.ts'

/**
 * Milliseconds of a lag like 200, `200ms`, `1.5s` or `2min`: at most what `recovery_min_apply_delay`
 * takes, a 32-bit number of them. Throws TestingError.
 */
export function parseLagMs(lag: string | number): number {
  const ms = parseDuration(lag)
  if (ms !== undefined) return ms
  throw new TestingError(
    `the lag ${JSON.stringify(lag)} is none; give milliseconds, or a text like '200ms' or '2s'`,
  )
}
