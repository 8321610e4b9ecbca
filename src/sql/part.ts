/** Building blocks of the families: the context that a statement is judged in, and its result. */
import type { CatalogSets } from './catalog-sets.ts'
import { lastingPin, type Pin } from './pin.ts'
import type { Effect, Ignorance, StatementPart, Verdict } from './statement-class.ts'

export interface JudgeContext {
  readonly catalog: CatalogSets | null
  /** Names whose judgement by `catalog` may be over; null: none are. */
  readonly doubted: ReadonlySet<string> | null
  /** Why no statement of this text may be read from a replica; null if one may. */
  readonly noReads: { readonly why: string; readonly ignorance: Ignorance | null } | null
  /** The catalog is being read, or never was: what it says may have changed by now. */
  readonly isStale?: boolean
  /** Names with bytes beyond ASCII can't be compared with the catalog's. */
  readonly asciiNamesOnly: boolean
}

const NO_EFFECTS: readonly Effect[] = []

/** A part that does nothing to the session. */
export function plainPart(verdict: Verdict, reason: string): StatementPart {
  return { verdict, reason, pin: null, effects: NO_EFFECTS }
}

/** A part that the server refuses to read, as far as can be told: nothing of it runs. */
export function refusedPart(reason: string): StatementPart {
  return { ...plainPart('primary', reason), asksPrimary: true }
}

/** A part whose session effects are known; `pin` also pins with verdicts other than `pin`. */
export function effectPart(
  verdict: Verdict,
  reason: string,
  effects: readonly Effect[],
  pin: Pin | null = null,
): StatementPart {
  return { verdict, reason, pin, effects }
}

/** The part of a statement that is taken to be what another one is for want of knowledge. */
export function withIgnorance(part: StatementPart, ignorance: Ignorance | null): StatementPart {
  return ignorance === null ? part : { ...part, ignorance }
}

/** A part that needs its server connection afterwards, for as long as its pin says; text: for good. */
export function pinPart(pin: Pin | string, effects: readonly Effect[] = NO_EFFECTS): StatementPart {
  const held = typeof pin === 'string' ? lastingPin(pin) : pin
  return { verdict: 'pin', reason: held.why, pin: held, effects }
}
