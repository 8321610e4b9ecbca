import { lastingPin, type Pin } from '../sql/pin.ts'
import type { Effect, StatementClass, Verdict } from '../sql/statement-class.ts'

/** A class for what is routed without being SQL text of the client. */
function fixedClass(
  verdict: Verdict,
  reason: string,
  pin: Pin | null = null,
  effects: readonly Effect[] = [],
): StatementClass {
  return {
    verdict,
    reason,
    pin,
    parts: effects.length === 0 ? [] : [{ verdict, reason, pin, effects }],
    effects,
    ignoresCustoms: false,
    ignoresClock: verdict === 'either',
    hint: null,
    keyword: '',
    ignorance: null,
    learned: null,
    timing: { runs: 0, peakMs: 0, peakBytes: 0 },
  }
}

const functionCall = 'function call message'
/** A call of a large object function: it leaves nothing behind its transaction. */
export const objectCallClass: StatementClass = fixedClass('primary', functionCall)
/** A FunctionCall names its function by OID alone. */
export const functionCallClass: StatementClass = fixedClass('primary', functionCall, null, [
  { kind: 'unproved', why: functionCall, customs: null },
])
export const bareSyncClass: StatementClass = fixedClass('either', 'nothing to run')
const parameterType = 'a parameter of a type whose input may write'
/** What reading the values of such a parameter may do, a domain's CHECK for one. */
export const parameterTypeEffect: Effect = { kind: 'unproved', why: parameterType, customs: null }
export const parameterTypeClass: StatementClass = fixedClass('primary', parameterType, null, [
  parameterTypeEffect,
])
export const longTextClass: StatementClass = fixedClass(
  'pin',
  'a statement that is too long to be read',
  lastingPin('a statement that was too long to be read'),
)
const absent = 'executes a statement that was not prepared'
/** A name that the session doesn't know; the server refuses it, or knows it from a function. */
export const absentStatementClass: StatementClass = fixedClass('primary', absent, null, [
  { kind: 'unproved', why: absent, customs: null },
])
export const unprovedClass: StatementClass = fixedClass(
  'primary',
  'a statement that may change its session',
)
export const transactionsOwnClass: StatementClass = fixedClass(
  'primary',
  'may show or keep something of its transaction (its time, a portal)',
)
export const openSegmentClass: StatementClass = fixedClass(
  'primary',
  'segment that goes on behind a Flush',
)
