/** DECLARE, FETCH, MOVE and CLOSE. */
import { firstPin } from './effect-pin.ts'
import { effectPart, type JudgeContext, pinPart, plainPart, withIgnorance } from './part.ts'
import {
  type Effect,
  isProvedRead,
  type StatementClass,
  type StatementPart,
} from './statement-class.ts'
import type { TokenCursor } from './token-cursor.ts'

export function judgeDeclare(
  cursor: TokenCursor,
  context: JudgeContext,
  inner: (cursor: TokenCursor, context: JudgeContext) => StatementClass,
): StatementPart {
  cursor.accept('declare')
  const name = cursor.name()
  if (name === null) return plainPart('primary', 'DECLARE is not understood')
  while (!cursor.atEnd() && cursor.keyword() !== 'cursor') cursor.i++
  cursor.accept('cursor')
  const hold = cursor.accept('with', 'without') === 'with'
  cursor.accept('hold')
  if (cursor.accept('for') === '') return plainPart('primary', 'DECLARE is not understood')
  const body = inner(cursor, context)
  const effects: Effect[] = [{ kind: 'declare', name, hold }, ...body.effects]
  const pin = hold ? firstPin(effects) : body.pin
  if (pin !== null) {
    const held = pinPart(pin, effects)
    return isProvedRead(body) && body.pin === null ? { ...held, holdsRead: true } : held
  }
  if (isProvedRead(body)) return effectPart('control', `declares the cursor ${name}`, effects)
  return withIgnorance(effectPart('primary', body.reason, effects), body.ignorance)
}

/** FETCH and MOVE: the cursor's name is the last word. */
export function judgeFetch(cursor: TokenCursor): StatementPart {
  const last = cursor.to - 1
  if (last <= cursor.i || !cursor.tokens.isName(last)) {
    return plainPart('primary', 'FETCH is not understood')
  }
  const name = cursor.tokens.word(last)
  return effectPart('control', `moves the cursor ${name}`, [{ kind: 'fetch', name }])
}

export function judgeClose(cursor: TokenCursor): StatementPart {
  cursor.accept('close')
  const all = cursor.keyword() === 'all'
  const name = cursor.name()
  if (name === null || !cursor.atEnd()) return plainPart('primary', 'CLOSE is not understood')
  return effectPart('control', 'closes a cursor', [
    { kind: 'close-cursor', name: all ? null : name },
  ])
}
