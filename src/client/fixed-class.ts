import type { StatementClass, Verdict } from '../sql/statement-class.ts'

/** A class for what is routed without being SQL text of the client. */
function fixedClass(verdict: Verdict, reason: string, pin: string | null = null): StatementClass {
  return {
    verdict,
    reason,
    pin,
    parts: [],
    effects: [],
    hint: null,
    keyword: '',
    learned: null,
    timing: { runs: 0, peakMs: 0, peakBytes: 0 },
  }
}

export const functionCallClass: StatementClass = fixedClass('primary', 'function call message')
export const bareSyncClass: StatementClass = fixedClass('either', 'nothing to run')
export const parameterTypeClass: StatementClass = fixedClass(
  'primary',
  'a parameter of a type whose input may write',
)
export const longTextClass: StatementClass = fixedClass(
  'pin',
  'a statement that is too long to be read',
  'a statement that was too long to be read',
)
export const openSegmentClass: StatementClass = fixedClass(
  'primary',
  'segment that goes on behind a Flush',
)
