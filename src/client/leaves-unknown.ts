import type { Effect } from '../sql/statement-class.ts'

/** May it set a custom parameter of which nobody knows the name, so that nobody can ask for it? */
export function leavesUnknown(effect: Effect): boolean {
  return effect.kind === 'unproved' && effect.customs === null
}

/** Does it run what isn't proved to leave its session as it is? */
export function isUnproved(effect: Effect): boolean {
  return effect.kind === 'unproved'
}
