/** SQL-level PREPARE, EXECUTE and DEALLOCATE. */
import { judgeExpression } from './judge-query.ts'
import { effectPart, type JudgeContext, pinPart, plainPart } from './part.ts'
import { pinOfEffects } from './pin.ts'
import {
  type Effect,
  isProvedRead,
  type StatementClass,
  type StatementPart,
} from './statement-class.ts'
import { statementName } from './statement-name.ts'
import type { TokenCursor } from './token-cursor.ts'
import { T_CLOSE, T_OPEN } from './tokens.ts'
import { judgePrepareTransaction } from './transaction-statement.ts'

/** Judges the tokens from the cursor to its end as a text of its own. */
export type JudgeInner = (cursor: TokenCursor, context: JudgeContext) => StatementClass

export function judgePrepare(
  cursor: TokenCursor,
  context: JudgeContext,
  inner: JudgeInner,
): StatementPart {
  const { tokens } = cursor
  const from = tokens.start(cursor.i)
  cursor.accept('prepare')
  if (
    cursor.keyword() === 'transaction' &&
    cursor.keyword(1) !== 'as' &&
    cursor.i + 1 < cursor.to
  ) {
    return judgePrepareTransaction()
  }
  const start = from - tokens.origin
  const named = statementName(cursor, context)
  if (named === null) return plainPart('primary', 'PREPARE is not understood')
  skipParentheses(cursor)
  if (cursor.accept('as') === '' || cursor.atEnd()) {
    return plainPart('primary', 'PREPARE is not understood')
  }
  const bodyFrom = tokens.start(cursor.i) - tokens.origin
  const end = tokens.end(cursor.to - 1) - tokens.origin
  const body = inner(cursor, context)
  const { name, spot } = named
  return pinPart(pinOfEffects(`prepared statement ${name}`), [
    { kind: 'prepare', name, spot, body, start, bodyFrom, end },
  ])
}

/**
 * The verdict is of a session that knows the name as little as the text does; who knows it goes by
 * the prepared statement and the effect's `args`.
 */
export function judgeExecute(cursor: TokenCursor, context: JudgeContext): StatementPart {
  const effects = executeEffects(cursor, context)
  const [effect] = effects
  if (effect?.kind !== 'execute') return plainPart('primary', 'EXECUTE is not understood')
  return pinPart(pinOfEffects(`prepared statement ${effect.name}`), effects)
}

/** Effects of the EXECUTE at the cursor, those of its arguments included; empty: not understood. */
export function executeEffects(cursor: TokenCursor, context: JudgeContext): Effect[] {
  cursor.accept('execute')
  const named = statementName(cursor, context)
  if (named === null) return []
  const from = cursor.i
  skipParentheses(cursor)
  const judged =
    cursor.i > from + 2 ? judgeExpression(cursor.tokens, from, cursor.i, context) : null
  const isRead = judged === null || isProvedRead(judged)
  const args = isRead && (judged?.effects.length ?? 0) === 0 ? null : judged
  const { name, spot } = named
  const hasArgs = cursor.i > from
  return [{ kind: 'execute', name, spot, hasArgs, args }, ...(args?.effects ?? [])]
}

export function judgeDeallocate(cursor: TokenCursor, context: JudgeContext): StatementPart {
  cursor.accept('deallocate')
  if (cursor.keyword() === 'prepare' && cursor.i + 1 < cursor.to) cursor.accept('prepare')
  const all = cursor.keyword() === 'all'
  const named = statementName(cursor, context)
  if (named === null || !cursor.atEnd()) return plainPart('primary', 'DEALLOCATE is not understood')
  return effectPart('control', 'drops a prepared statement', [
    all ? { kind: 'deallocate', name: null } : { kind: 'deallocate', ...named },
  ])
}

/** Steps behind a balanced pair of parentheses if one opens here. */
export function skipParentheses(cursor: TokenCursor): void {
  if (cursor.kind() !== T_OPEN) return
  let depth = 0
  while (!cursor.atEnd()) {
    const kind = cursor.kind()
    cursor.i++
    if (kind === T_OPEN) depth++
    else if (kind === T_CLOSE && --depth === 0) return
  }
}
