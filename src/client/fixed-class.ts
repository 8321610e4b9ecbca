import type { StatementClass, Verdict } from '../sql/statement-class.ts'

/** A class for what is routed without being SQL text of the client. */
function fixedClass(verdict: Verdict, reason: string): StatementClass {
  return {
    verdict,
    reason,
    pin: null,
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
export const openSegmentClass: StatementClass = fixedClass(
  'primary',
  'segment that goes on behind a Flush',
)
