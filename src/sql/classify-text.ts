/** Tokens of a text → its class: statement by statement, the strongest verdict wins. */
import { judgeCopy } from './copy-statement.ts'
import { judgeClose, judgeDeclare, judgeFetch } from './cursor-statement.ts'
import {
  judgeAlter,
  judgeCreate,
  judgeDdl,
  judgeDo,
  judgeMaintenance,
  judgeUnknown,
} from './ddl-statement.ts'
import { judgeExplain } from './explain-statement.ts'
import { judgeQuery, judgeWrite } from './judge-query.ts'
import { judgeListen } from './listen-statement.ts'
import { effectPart, type JudgeContext, pinPart, plainPart, refusedPart } from './part.ts'
import { judgeDeallocate, judgeExecute, judgePrepare } from './prepared-statement.ts'
import { judgeDiscard, judgeLoad, judgeReset, judgeSet, judgeShow } from './set-statement.ts'
import { splitTokens } from './split.ts'
import type { Hint, StatementClass, StatementPart, Verdict } from './statement-class.ts'
import { TokenCursor } from './token-cursor.ts'
import { T_OPEN, type TokenList } from './tokens.ts'
import {
  judgeBegin,
  judgeCommit,
  judgeRelease,
  judgeRollback,
  judgeSavepoint,
} from './transaction-statement.ts'

const STRENGTH: Readonly<Record<Verdict, number>> = {
  either: 0,
  replica: 1,
  control: 2,
  primary: 3,
  pin: 4,
}

/** EXPLAIN (ROUTE) EXPLAIN PREPARE … is as deep as statements may nest and mean something. */
const MAX_NESTING = 4

/** The class of the tokens `[from, to)`. Never throws; `hint` is put in as it is. */
export function classifyTokens(
  tokens: TokenList,
  from: number,
  to: number,
  context: JudgeContext,
  hint: Hint | null,
  nesting = 0,
): StatementClass {
  const statements = splitTokens(tokens, from, to)
  if (statements === 'unbalanced') return makeClass([UNBALANCED], '', hint)
  if (statements === 'unclear') return makeClass([UNCLEAR], '', hint)
  const parts = statements.map(([start, end]) =>
    judgeStatement(tokens, start, end, context, nesting),
  )
  const first = statements[0]
  return makeClass(parts, first === undefined ? '' : tokens.keyword(first[0]), hint)
}

const UNBALANCED = refusedPart('unbalanced parentheses')
const UNCLEAR = pinPart('a text whose statements cannot be told apart')

/** A class of its parts. */
export function makeClass(
  parts: readonly StatementPart[],
  keyword: string,
  hint: Hint | null,
): StatementClass {
  let strongest: StatementPart = EMPTY
  for (const part of parts) {
    if (strongest === EMPTY || STRENGTH[part.verdict] > STRENGTH[strongest.verdict]) {
      strongest = part
    }
  }
  const only = parts.length === 1 ? parts[0] : undefined
  return {
    verdict: strongest.verdict,
    reason: strongest.reason,
    pin: parts.find((part) => part.pin !== null)?.pin ?? null,
    ignorance: strongest.ignorance ?? null,
    ...(strongest.volatileCall === undefined ? {} : { volatileCall: strongest.volatileCall }),
    parts,
    effects: only === undefined ? parts.flatMap((part) => part.effects) : only.effects,
    ignoresCustoms: parts.length > 0 && parts.every((part) => part.ignoresCustoms === true),
    ignoresClock: parts.every((part) => part.ignoresClock === true),
    hint,
    keyword,
    learned: null,
    timing: { runs: 0, peakMs: 0, peakBytes: 0 },
  }
}

const EMPTY = plainPart('either', 'empty')

function judgeStatement(
  tokens: TokenList,
  from: number,
  to: number,
  context: JudgeContext,
  nesting: number,
): StatementPart {
  if (nesting >= MAX_NESTING) return plainPart('primary', 'statements nest too deeply')
  const inner = (cursor: TokenCursor, within: JudgeContext) =>
    classifyTokens(tokens, cursor.i, cursor.to, within, null, nesting + 1)
  const cursor = new TokenCursor(tokens, from, to)
  switch (leadingKeyword(tokens, from, to)) {
    case 'select':
    case 'with':
    case 'values':
    case 'table':
      return judgeQuery(tokens, from, to, context)
    case 'insert':
    case 'update':
    case 'delete':
    case 'merge':
      return judgeWrite(tokens, from, to, context, `${tokens.word(from).toUpperCase()} writes`)
    case 'begin':
    case 'start':
      return judgeBegin(cursor)
    case 'commit':
    case 'end':
      return judgeCommit(cursor)
    case 'rollback':
    case 'abort':
      return judgeRollback(cursor)
    case 'savepoint':
      return judgeSavepoint(cursor)
    case 'release':
      return judgeRelease(cursor)
    case 'set':
      return judgeSet(cursor, context)
    case 'reset':
      return judgeReset(cursor)
    case 'show':
      return judgeShow(cursor)
    case 'discard':
      return judgeDiscard(cursor)
    case 'prepare':
      return judgePrepare(cursor, context, inner)
    case 'execute':
      return judgeExecute(cursor, context)
    case 'deallocate':
      return judgeDeallocate(cursor, context)
    case 'declare':
      return judgeDeclare(cursor, context, inner)
    case 'fetch':
    case 'move':
      return judgeFetch(cursor)
    case 'close':
      return judgeClose(cursor)
    case 'listen':
    case 'unlisten':
      return judgeListen(cursor, context)
    case 'notify':
      return effectPart('primary', 'NOTIFY is not a read', [{ kind: 'notify' }])
    case 'load':
      return judgeLoad(cursor)
    case 'copy':
      return judgeCopy(cursor, context, (query) =>
        judgeStatement(tokens, query.i, query.to, context, nesting + 1),
      )
    case 'explain':
      return judgeExplain(cursor, context, inner)
    case 'create':
      return judgeCreate(cursor, context)
    case 'alter':
      return judgeAlter(cursor, context)
    case 'drop':
    case 'grant':
    case 'revoke':
    case 'comment':
    case 'refresh':
    case 'import':
    case 'reassign':
    case 'security':
      return judgeDdl(cursor, context)
    case 'do':
      return judgeDo(cursor, context)
    case 'call':
      return judgeWrite(tokens, from, to, context, 'CALL may write')
    case '':
      return refusedPart('not a SQL statement')
    case 'analyze':
    case 'analyse':
    case 'vacuum':
    case 'cluster':
    case 'reindex':
      return judgeMaintenance(cursor, context)
    case 'lock':
    case 'checkpoint':
    case 'truncate':
      return judgeWrite(tokens, from, to, context, knownCommand(tokens.word(from)))
    default:
      return judgeUnknown(cursor, context, knownCommand(tokens.word(from)))
  }
}

function knownCommand(word: string): string {
  return word.length > 30 ? 'a command that is not known' : `${word.toUpperCase()} is not a read`
}

/** The first keyword behind opening parentheses; '' when something else stands there. */
function leadingKeyword(tokens: TokenList, from: number, to: number): string {
  let i = from
  while (i < to && tokens.kind(i) === T_OPEN) i++
  if (i >= to) return ''
  const word = tokens.keyword(i)
  const isQuery = word === 'select' || word === 'with' || word === 'values' || word === 'table'
  return i === from || isQuery ? word : ''
}
