import type { Effect } from '../sql/statement-class.ts'
import { quoteLiteral } from '../sql/token-cursor.ts'
import { query } from '../wire/frontend-messages.ts'
import type { Request } from './request.ts'

/**
 * The Query that does on another server what this request did to its transaction: a setting for as
 * long as it lasts, a savepoint. null = it did something else, or more, or it can't be said again.
 */
export function markOf(request: Request): Buffer | null {
  const { kind, cls, effects, pin, executed, bytes, names } = request
  if (effects.length === 0 || pin !== null || names !== null) return null
  if (kind === 'function' || request.queryAt >= 0 || !effects.every(mayBeMark)) return null
  if (kind === 'simple') return cls.parts.length === 1 ? Buffer.from(bytes) : null
  if (executed.length !== 1) return null
  const texts = effects.map(textOf)
  return texts.every((text) => text !== null) ? query(texts.join('; ')) : null
}

/** Does it end with its transaction, and can another server be told of it? */
export function mayBeMark(effect: Effect): boolean {
  switch (effect.kind) {
    case 'savepoint':
    case 'release':
    case 'rollback-to':
      return true
    case 'set':
      return effect.local && !effect.opaque && effect.name !== '' && effect.name !== '*'
    default:
      return false
  }
}

function textOf(effect: Effect): string | null {
  switch (effect.kind) {
    case 'savepoint':
      return `SAVEPOINT ${quoteName(effect.name)}`
    case 'release':
      return `RELEASE ${quoteName(effect.name)}`
    case 'rollback-to':
      return `ROLLBACK TO ${quoteName(effect.name)}`
    case 'set': {
      const { name, value, config } = effect
      if (config === undefined) {
        const path = name.split('.').map(quoteName).join('.')
        return isText(value ?? '') ? `SET LOCAL ${path} TO ${value ?? 'DEFAULT'}` : null
      }
      if (!isText(config) || config.includes('\\')) return null
      return `SELECT pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(config)}, true)`
    }
    default:
      return null
  }
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Bytes that are no UTF-8 can't be told here. */
function isText(value: string): boolean {
  return !value.includes('\ufffd')
}
