/** COPY. */
import { TEMPORARY } from './effect-pin.ts'
import { judgeRelation, judgeWrite } from './judge-query.ts'
import { effectPart, type JudgeContext, pinPart, plainPart, withIgnorance } from './part.ts'
import { skipParentheses } from './prepared-statement.ts'
import { isTemporarySchema } from './session-functions.ts'
import { addEffect } from './session-uses.ts'
import type { Effect, StatementPart } from './statement-class.ts'
import { TokenCursor } from './token-cursor.ts'
import { T_DOT, T_OPEN } from './tokens.ts'

const NOT_UNDERSTOOD = plainPart('primary', 'COPY is not understood')

export function judgeCopy(
  cursor: TokenCursor,
  context: JudgeContext,
  judgeBody: (cursor: TokenCursor, context: JudgeContext) => StatementPart,
): StatementPart {
  cursor.accept('copy')
  if (cursor.kind() === T_OPEN) {
    const open = cursor.i
    skipParentheses(cursor)
    const close = cursor.i - 1
    const source = new TokenCursor(cursor.tokens, open + 1, close)
    return copyOut(cursor, judgeBody(source, context))
  }
  cursor.accept('binary')
  const from = cursor.i
  let name = cursor.name()
  while (cursor.acceptKind(T_DOT)) name = cursor.name()
  if (name === null) return NOT_UNDERSTOOD
  const to = cursor.i
  skipParentheses(cursor)
  if (cursor.accept('from') !== '') {
    const direction = cursor.keyword() === 'stdin' ? 'in' : 'server-file'
    const effects: Effect[] = [{ kind: 'copy', direction }]
    for (let i = from; i < to; i++) {
      if (isTemporarySchema(cursor.tokens.word(i))) effects.push({ kind: 'temp' })
    }
    const own = effects.length > 1 ? TEMPORARY : null
    const write = judgeWrite(cursor.tokens, from, cursor.to, context, 'COPY FROM writes', [
      'insert',
    ])
    const read = judgeRelation(cursor.tokens, from, to, context)
    for (const effect of [...write.effects, ...read.effects]) addEffect(effects, effect)
    const pin = own ?? write.pin
    return pin === null ? effectPart('primary', 'COPY FROM writes', effects) : pinPart(pin, effects)
  }
  return copyOut(cursor, judgeRelation(cursor.tokens, from, to, context))
}

function copyOut(cursor: TokenCursor, body: StatementPart): StatementPart {
  if (cursor.accept('to') === '') return NOT_UNDERSTOOD
  const direction = cursor.keyword() === 'stdout' ? 'out' : 'server-file'
  const effects: Effect[] = [{ kind: 'copy', direction }, ...body.effects]
  if (direction === 'server-file' && body.pin === null) {
    return effectPart('primary', 'COPY to a file or program of the server', effects)
  }
  const part = effectPart(body.verdict, body.reason, effects, body.pin)
  const known = withIgnorance(part, body.ignorance ?? null)
  return body.ignoresClock === true ? { ...known, ignoresClock: true } : known
}
