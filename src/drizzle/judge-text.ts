import type { Classifier } from '../sql/classifier.ts'
import {
  type Effect,
  isProvedRead,
  type StatementClass,
  type StatementPart,
} from '../sql/statement-class.ts'

/** Bytes of the text that is judged; a longer one gets a buffer of its own. */
const scratch = Buffer.allocUnsafe(64 * 1024)
const encoder = new TextEncoder()

/** Classes by text: Drizzle makes the same few over and over, and so they need not even be encoded. */
interface Remembered {
  /** The catalog by which they were judged. */
  version: number
  readonly classes: Map<string, StatementClass>
}

const remembered = new WeakMap<Classifier, Remembered>()
/** With so many texts all are forgotten: they have literals in them, and don't come again. */
const maxRemembered = 1_000
const maxRememberedChars = 2_000

/** The class of a text, as `standard_conforming_strings = on` reads it. */
export function classOf(classifier: Classifier, text: string): StatementClass {
  let memory = remembered.get(classifier)
  if (memory === undefined) {
    memory = { version: classifier.catalogVersion, classes: new Map() }
    remembered.set(classifier, memory)
  }
  const { classes } = memory
  if (memory.version !== classifier.catalogVersion) {
    memory.version = classifier.catalogVersion
    classes.clear()
  }
  const known = classes.get(text)
  if (known !== undefined && known.learned === null) return known
  const cls = judge(classifier, text)
  if (text.length <= maxRememberedChars) {
    if (classes.size >= maxRemembered) classes.clear()
    classes.set(text, cls)
  }
  return cls
}

function judge(classifier: Classifier, text: string): StatementClass {
  // A UTF-16 unit takes three bytes at the most.
  if (text.length * 3 <= scratch.length) {
    const { written } = encoder.encodeInto(text, scratch)
    return classifier.classify(scratch, 0, written, 'standard')
  }
  const bytes = Buffer.from(text)
  return classifier.classify(bytes, 0, bytes.length, 'standard')
}

/** Proved to read only, and to leave nothing in its session. */
export function isRead(cls: StatementClass): boolean {
  const { pin, effects } = cls
  const isProved = isProvedRead(cls) && pin === null
  return isProved && cls.learned === null && !effects.some(({ kind }) => kind === 'unproved')
}

/**
 * What a read session does with a statement. `proved`: the best node runs it. `asks primary`: it may
 * be a read, of what only the primary can tell or of what the catalog doesn't know; a READ ONLY
 * transaction of the primary runs it, or refuses it. `no`: it does more than read.
 */
export type Reading = 'proved' | 'asks primary' | 'no'

export function readingOf(cls: StatementClass): Reading {
  if (isRead(cls)) return 'proved'
  return cls.pin === null && cls.parts.every(mayAsk) ? 'asks primary' : 'no'
}

function mayAsk(part: StatementPart): boolean {
  const { asksPrimary, effects } = part
  if (isProvedRead(part) || asksPrimary === true) return true
  return effects.length > 0 && effects.every(({ kind }) => kind === 'show')
}

/** It calls what the catalog doesn't know, which may leave anything in its session. */
export function isUnknown({ effects }: StatementClass): boolean {
  return effects.some(({ kind }) => kind === 'dynamic' || kind === 'unproved')
}

/** Allowed inside a transaction that reads: they end it, or set marks in it. */
export function isTransactionControl({ verdict, pin, effects, parts }: StatementClass): boolean {
  if (pin !== null || parts.length !== 1) return false
  // SHOW tells what the transaction has, but for what only a standby has.
  const isShow = effects.length > 0 && effects.every(({ kind }) => kind === 'show')
  if (verdict !== 'control' && !isShow) return false
  return effects.every(isMark)
}

/** Settings that would open the transaction for writes, or change how texts are read. */
const decisive = /read_only|standard_conforming|backslash|client_encoding/

function isMark(effect: Effect): boolean {
  switch (effect.kind) {
    case 'commit':
    case 'rollback':
      return !effect.chain
    case 'savepoint':
    case 'rollback-to':
    case 'release':
      return true
    case 'show':
      return effect.name !== 'in_hot_standby'
    case 'set-transaction':
      return effect.modes.readOnly !== false && !effect.snapshot
    case 'set':
      return effect.local && !effect.opaque && !decisive.test(effect.name)
    default:
      return false
  }
}

/** The text that ends a transaction, alone; null = it does not end one. */
export function endOf({ effects, parts }: StatementClass): 'commit' | 'rollback' | null {
  const [effect] = effects
  if (parts.length !== 1 || effects.length !== 1 || effect === undefined) return null
  return effect.kind === 'commit' || effect.kind === 'rollback' ? effect.kind : null
}

/**
 * Leaves something in the session that the next user of a pooled connection would meet: settings,
 * temporary tables, locks, an open transaction.
 */
export function spoils({ pin, effects }: StatementClass, isInTransaction: boolean): boolean {
  return pin !== null || effects.some((effect) => isState(effect, isInTransaction))
}

function isState(effect: Effect, isInTransaction: boolean): boolean {
  switch (effect.kind) {
    case 'set':
      return !effect.local || effect.opaque
    case 'begin':
    case 'savepoint':
      return !isInTransaction
    case 'reset':
    case 'reset-all':
    case 'prepare':
    case 'listen':
    case 'temp':
    case 'advisory-lock':
    case 'load':
    case 'dblink':
    case 'unproved':
      return true
    case 'declare':
      return effect.hold
    default:
      return false
  }
}

/** Procedures and DO blocks may have committed before they failed. */
export function mayHaveCommitted({ keyword }: StatementClass): boolean {
  return keyword === 'call' || keyword === 'do'
}
