/** SQL-level PREPARE, EXECUTE and DEALLOCATE. */
import { effectPart, type JudgeContext, pinPart, plainPart } from './part.ts'
import type { StatementClass, StatementPart } from './statement-class.ts'
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
  cursor.accept('prepare')
  if (
    cursor.keyword() === 'transaction' &&
    cursor.keyword(1) !== 'as' &&
    cursor.i + 1 < cursor.to
  ) {
    return judgePrepareTransaction()
  }
  const name = cursor.name()
  if (name === null) return plainPart('primary', 'PREPARE is not understood')
  skipParentheses(cursor)
  if (cursor.accept('as') === '') return plainPart('primary', 'PREPARE is not understood')
  const body = inner(cursor, context)
  return pinPart(`prepared statement ${name}`, [{ kind: 'prepare', name, body }])
}

export function judgeExecute(cursor: TokenCursor): StatementPart {
  cursor.accept('execute')
  const name = cursor.name()
  if (name === null) return plainPart('primary', 'EXECUTE is not understood')
  return pinPart(`prepared statement ${name}`, [{ kind: 'execute', name }])
}

export function judgeDeallocate(cursor: TokenCursor): StatementPart {
  cursor.accept('deallocate')
  if (cursor.keyword() === 'prepare' && cursor.i + 1 < cursor.to) cursor.accept('prepare')
  const all = cursor.keyword() === 'all'
  const name = cursor.name()
  if (name === null || !cursor.atEnd()) return plainPart('primary', 'DEALLOCATE is not understood')
  return effectPart('control', 'drops a prepared statement', [
    { kind: 'deallocate', name: all ? null : name },
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
