import { type Pin, pinOfEffects } from './pin.ts'
import type { Effect } from './statement-class.ts'

/** Of what makes objects in the temporary schema. */
export const TEMPORARY = pinOfEffects('temporary objects')

/** Why a session that did this must keep its server connection, in words; null: it need not. */
export function effectPin(effect: Effect): string | null {
  switch (effect.kind) {
    case 'listen':
      return `listens to ${effect.channel}`
    case 'prepare':
    case 'execute':
      return `prepared statement ${effect.name}`
    case 'declare':
      return effect.hold ? `cursor ${effect.name} WITH HOLD` : null
    case 'temp':
      return TEMPORARY.why
    case 'advisory-lock':
      return 'session advisory lock'
    case 'dblink':
      return effect.ends ? null : 'dblink connection'
    case 'sequence-read':
      return effect.isOwn ? null : 'uses currval() or lastval()'
    case 'set':
      return effect.opaque && !effect.local ? settingPin(effect.name) : null
    default:
      return null
  }
}

/** The reason while a setting's value is not known; for `name` see the effect `set`. */
export function settingPin(name: string): string {
  return name === '' || name === '*'
    ? 'a setting that the statement does not name'
    : `setting ${name} whose value the statement does not show`
}

/** The first pin among the effects, or null. */
export function firstPin(effects: readonly Effect[]): Pin | null {
  for (const effect of effects) {
    const why = effectPin(effect)
    if (why !== null) return pinOfEffects(why)
  }
  return null
}
