/** EXPLAIN, and our own EXPLAIN (ROUTE). */
import { effectPart, type JudgeContext, pinPart, plainPart, withIgnorance } from './part.ts'
import { skipParentheses } from './prepared-statement.ts'
import {
  type Effect,
  isProvedRead,
  type StatementClass,
  type StatementPart,
} from './statement-class.ts'
import type { TokenCursor } from './token-cursor.ts'
import { T_OPEN } from './tokens.ts'

export function judgeExplain(
  cursor: TokenCursor,
  context: JudgeContext,
  inner: (cursor: TokenCursor, context: JudgeContext) => StatementClass,
): StatementPart {
  cursor.accept('explain')
  let route = false
  if (cursor.kind() === T_OPEN && !beginsQuery(cursor)) {
    const from = cursor.i
    skipParentheses(cursor)
    for (let i = from; i < cursor.i; i++) route ||= cursor.tokens.keyword(i) === 'route'
  } else {
    cursor.accept('analyze', 'analyse')
    cursor.accept('verbose')
  }
  if (cursor.atEnd()) return plainPart('primary', 'EXPLAIN is not understood')
  const body = inner(cursor, context)
  if (route) {
    return effectPart('control', 'explains the route', [{ kind: 'explain-route', inner: body }])
  }
  if (isProvedRead(body)) {
    const part = plainPart(body.verdict, body.reason)
    return {
      ...part,
      ...(body.ignoresCustoms && { ignoresCustoms: true }),
      ...(body.ignoresClock && { ignoresClock: true }),
    }
  }
  // Whether ANALYZE runs it isn't looked at: options come in too many forms.
  if (body.pin !== null) return pinPart(body.pin, body.effects)
  const explained = effectPart('primary', `explains: ${body.reason}`, body.effects.map(asOpaque))
  // Without the catalog it may have been ANALYZE of anything.
  const part = withIgnorance(explained, body.ignorance === 'no catalog' ? null : body.ignorance)
  return body.parts.every(({ asksPrimary }) => asksPrimary) ? { ...part, asksPrimary: true } : part
}

/** The parameter may have been set. */
function asOpaque(effect: Effect): Effect {
  if (effect.kind !== 'set' || effect.opaque) return effect
  return { kind: 'set', name: effect.name, value: null, local: effect.local, opaque: true }
}

/** `EXPLAIN (SELECT …)` explains a query in parentheses; options are other words. */
function beginsQuery(cursor: TokenCursor): boolean {
  let ahead = 0
  while (cursor.tokens.kind(cursor.i + ahead) === T_OPEN) ahead++
  return ['select', 'with', 'values', 'table'].includes(cursor.keyword(ahead))
}
