/** BEGIN, COMMIT, ROLLBACK, savepoints, PREPARE TRANSACTION and transaction modes. */
import { effectPart, type JudgeContext, plainPart } from './part.ts'
import type { StatementPart, TransactionModes } from './statement-class.ts'
import type { TokenCursor } from './token-cursor.ts'
import { T_COMMA } from './tokens.ts'

const NOT_UNDERSTOOD = plainPart('primary', 'transaction command that is not understood')

type Isolation = TransactionModes['isolation']

export function judgeBegin(cursor: TokenCursor): StatementPart {
  const isStart = cursor.accept('begin', 'start') === 'start'
  const word = cursor.accept('work', 'transaction')
  if (isStart && word !== 'transaction') return NOT_UNDERSTOOD
  const modes = parseModes(cursor)
  if (modes === null) return NOT_UNDERSTOOD
  return effectPart('control', 'begins a transaction', [{ kind: 'begin', modes }])
}

/** COMMIT, END, and their PREPARED and CHAIN forms. */
export function judgeCommit(cursor: TokenCursor): StatementPart {
  cursor.accept('commit', 'end')
  if (cursor.accept('prepared') !== '')
    return plainPart('primary', 'commits a prepared transaction')
  cursor.accept('work', 'transaction')
  const chain = parseChain(cursor)
  if (chain === null) return NOT_UNDERSTOOD
  return effectPart('control', 'ends the transaction', [{ kind: 'commit', chain }])
}

/** ROLLBACK and ABORT, ROLLBACK TO, ROLLBACK PREPARED. */
export function judgeRollback(cursor: TokenCursor): StatementPart {
  cursor.accept('rollback', 'abort')
  if (cursor.accept('prepared') !== '') {
    return plainPart('primary', 'rolls a prepared transaction back')
  }
  cursor.accept('work', 'transaction')
  if (cursor.accept('to') !== '') {
    cursor.accept('savepoint')
    const name = cursor.name()
    if (name === null || !cursor.atEnd()) return NOT_UNDERSTOOD
    return effectPart('control', 'goes back to a savepoint', [{ kind: 'rollback-to', name }])
  }
  const chain = parseChain(cursor)
  if (chain === null) return NOT_UNDERSTOOD
  return effectPart('control', 'rolls the transaction back', [{ kind: 'rollback', chain }])
}

export function judgeSavepoint(cursor: TokenCursor): StatementPart {
  cursor.accept('savepoint')
  const name = cursor.name()
  if (name === null || !cursor.atEnd()) return NOT_UNDERSTOOD
  return effectPart('control', 'sets a savepoint', [{ kind: 'savepoint', name }])
}

export function judgeRelease(cursor: TokenCursor): StatementPart {
  cursor.accept('release')
  // SAVEPOINT is no reserved word, so `RELEASE savepoint` alone names one.
  if (cursor.keyword() === 'savepoint' && cursor.i + 1 < cursor.to) cursor.accept('savepoint')
  const name = cursor.name()
  if (name === null || !cursor.atEnd()) return NOT_UNDERSTOOD
  return effectPart('control', 'releases a savepoint', [{ kind: 'release', name }])
}

export function judgePrepareTransaction(): StatementPart {
  return effectPart('primary', 'prepares the transaction', [{ kind: 'prepare-transaction' }])
}

/** Behind `SET [LOCAL] TRANSACTION`. */
export function judgeSetTransaction(cursor: TokenCursor, _context: JudgeContext): StatementPart {
  if (cursor.accept('snapshot') !== '') {
    const modes = { isolation: null, readOnly: null, deferrable: null }
    return effectPart('primary', 'imports a snapshot', [
      { kind: 'set-transaction', modes, snapshot: true },
    ])
  }
  const modes = parseModes(cursor)
  if (modes === null) return NOT_UNDERSTOOD
  return effectPart('control', 'sets the modes of the transaction', [
    { kind: 'set-transaction', modes, snapshot: false },
  ])
}

/** The modes up to the statement's end, separated by commas or spaces; null if not understood. */
export function parseModes(cursor: TokenCursor): TransactionModes | null {
  let isolation: Isolation = null
  let readOnly: boolean | null = null
  let deferrable: boolean | null = null
  while (!cursor.atEnd()) {
    switch (cursor.accept('isolation', 'read', 'deferrable', 'not')) {
      case 'isolation':
        if (cursor.accept('level') === '') return null
        isolation = parseIsolation(cursor)
        if (isolation === null) return null
        break
      case 'read': {
        const word = cursor.accept('only', 'write')
        if (word === '') return null
        readOnly = word === 'only'
        break
      }
      case 'deferrable':
        deferrable = true
        break
      case 'not':
        if (cursor.accept('deferrable') === '') return null
        deferrable = false
        break
      default:
        return null
    }
    if (cursor.acceptKind(T_COMMA) && cursor.atEnd()) return null
  }
  return { isolation, readOnly, deferrable }
}

function parseIsolation(cursor: TokenCursor): Isolation {
  switch (cursor.accept('serializable', 'repeatable', 'read')) {
    case 'serializable':
      return 'serializable'
    case 'repeatable':
      return cursor.accept('read') === '' ? null : 'repeatable read'
    case 'read': {
      const word = cursor.accept('committed', 'uncommitted')
      if (word === '') return null
      return word === 'committed' ? 'read committed' : 'read uncommitted'
    }
    default:
      return null
  }
}

function parseChain(cursor: TokenCursor): boolean | null {
  let chain = false
  if (cursor.accept('and') !== '') {
    chain = cursor.accept('no') === ''
    if (cursor.accept('chain') === '') return null
  }
  return cursor.atEnd() ? chain : null
}
