import {
  type Effect,
  isProvedRead,
  type StatementClass,
  type StatementPart,
} from '../sql/statement-class.ts'
import { isOrdinarySetting, isReadOnlySetting, meansTrue } from './ordinary-settings.ts'

/** What was found of a class; classes are interned, so it is found once. */
const known = new WeakMap<StatementClass, { readonly why: string | null }>()

/**
 * Why a text of this class must not run for a client whose access is `read`, one clause; null: it
 * may. Only what is proved may: reads, and what changes nothing but the session, and nothing there
 * that could let anything else through. A text may when all of its statements may.
 */
export function unfitForReaders(cls: StatementClass): string | null {
  // A standby has refused what was taken for a read.
  if (cls.learned !== null) return cls.learned
  const found = known.get(cls)
  if (found !== undefined) return found.why
  const why = unfitParts(cls)
  known.set(cls, { why })
  return why
}

function unfitParts({ parts, verdict, reason, effects }: StatementClass): string | null {
  // A class that stands for what is no text; an empty text has no parts either, and is a read.
  if (parts.length === 0) return verdict === 'either' && effects.length === 0 ? null : reason
  for (const part of parts) {
    const why = unfitPart(part)
    if (why !== null) return why
  }
  return null
}

function unfitPart(part: StatementPart): string | null {
  for (const effect of part.effects) {
    const why = unfitEffect(effect)
    if (why !== null) return why === '' ? part.reason : why
  }
  return isProvedRead(part) || part.verdict === 'control' || isKnownHarmless(part)
    ? null
    : part.reason
}

/**
 * What routing keeps on the primary, or pins, and reads all the same: a look at the node itself, a
 * cursor over a proved read, SHOW, and what only names prepared statements, which were judged before.
 */
function isKnownHarmless({ readsNode, holdsRead, effects, verdict }: StatementPart): boolean {
  if (readsNode === true && effects.length === 0) return true
  if (holdsRead === true) return true
  if (effects.length === 0) return false
  if (verdict === 'primary') return effects.every(({ kind }) => kind === 'show')
  return effects.every(({ kind }) => kind === 'prepare' || kind === 'execute')
}

/** '' = the reason is the statement's own. */
function unfitEffect(effect: Effect): string | null {
  switch (effect.kind) {
    case 'commit':
    case 'rollback':
    case 'savepoint':
    case 'rollback-to':
    case 'release':
    case 'reset-all':
    case 'show':
    case 'discard':
    case 'deallocate':
    case 'own-names':
    case 'own-channels':
    case 'unlisten':
    case 'declare':
    case 'fetch':
    case 'close-cursor':
    case 'explain-route':
      return null
    case 'begin':
      return effect.modes.readOnly === false ? 'begins a READ WRITE transaction' : null
    case 'set-transaction':
      if (effect.snapshot) return ''
      return effect.modes.readOnly === false ? 'makes the transaction READ WRITE' : null
    case 'set':
      return unfitSetting(effect)
    case 'reset':
      return isReadOnlySetting(effect.name) ? `resets ${effect.name}` : null
    case 'prepare': {
      const why = unfitForReaders(effect.body)
      return why === null ? null : `prepares a statement that ${why}`
    }
    case 'execute':
      return effect.args === null ? null : effect.args.reason
    case 'copy':
      return effect.direction === 'out' ? null : ''
    case 'temp':
      return 'may create or see temporary objects'
    case 'prepare-transaction':
    case 'dynamic':
    case 'listen':
    case 'notify':
    case 'advisory-lock':
    case 'advisory-unlock':
    case 'dblink':
    case 'sequence-read':
    case 'load':
    case 'unproved':
    case 'signal':
    case 'ddl':
    case 'vacate':
    case 'alter-defaults':
      return ''
    default:
      effect satisfies never
      return ''
  }
}

function unfitSetting(effect: Effect & { readonly kind: 'set' }): string | null {
  const { name, value, opaque, config } = effect
  if (isReadOnlySetting(name)) {
    const isOn = !opaque && meansTrue(config ?? value)
    return isOn ? null : `sets ${name} to something else than on`
  }
  if (name === '' || name === '*') return 'sets a parameter that its text does not name'
  return isOrdinarySetting(name) ? null : `sets ${name}, which is no ordinary setting`
}

/** The same for a setting of the startup packet. */
export function unfitAtStart(name: string, value: string): string | null {
  return unfitSetting({ kind: 'set', name, value, local: false, opaque: false })
}
