import { type ErrorFacts, PgSplitError } from '../errors.ts'
import type { Effect, StatementClass } from '../sql/statement-class.ts'
import {
  bindComplete,
  closeComplete,
  commandComplete,
  dataRow,
  emptyQueryResponse,
  errorResponse,
  noData,
  parameterDescription,
  parseComplete,
  readyForQuery,
  rowDescription,
} from '../wire/backend-messages.ts'
import { query } from '../wire/frontend-messages.ts'
import { frontend, txStatus } from '../wire/message-types.ts'
import { settleCausalToken } from './causal-token.ts'
import { discardAll, forgetStatements } from './discard-all.ts'
import { bareSyncClass } from './fixed-class.ts'
import { dropLease } from './leave-connection.ts'
import { explainedClass } from './named-text.ts'
import { applyOwnSetting, isOwnSetting, showOwnSetting } from './own-settings.ts'
import type { Request } from './request.ts'
import { describePortal, inventedClose } from './segment-parts.ts'
import type { ClientSession } from './session.ts'
import { refreshFacts } from './setting-effects.ts'
import { settingValue } from './setting-value.ts'
import { signalledSession } from './signal-backend.ts'
import { mergeModes, Transaction } from './transaction.ts'

interface Answer {
  readonly tag?: string
  readonly columns?: readonly string[]
  /** Of all columns; text when not said. */
  readonly typeOid?: number
  /** Are the values binary, as a Bind has asked for? */
  readonly isBinary?: true
  readonly parameters?: readonly number[]
  readonly rows?: readonly (readonly string[])[]
  readonly error?: ErrorFacts
}

const aborted: ErrorFacts = {
  sqlstate: '25P02',
  message: 'current transaction is aborted, commands ignored until end of transaction block',
  hint: 'The connection to its server was lost; ROLLBACK and run it again.',
}

/**
 * Answers what needs no server: a deferred BEGIN and its end, `pgsplit.*` settings, empty texts,
 * DISCARD ALL of a session that holds nothing. `segment` null: a simple Query in
 * `buffer[start, end)`. `later`: only when nothing is in flight; `no`: a server must answer.
 */
export function answerLocally(
  session: ClientSession,
  cls: StatementClass,
  segment: Request | null,
  buffer: Buffer,
  start: number,
  end: number,
): 'done' | 'later' | 'no' {
  const isEmptySegment = segment !== null && segment.size === 0
  if (segment !== null && !isEmptySegment) {
    if (segment.executed.length !== 1 || segment.executed[0] !== cls) {
      if (!session.isBroken && session.pendingError === null) return 'no'
      return finish(session, segment, { error: takeTrouble(session) })
    }
  }
  if (!isEmptySegment && cls === bareSyncClass) return 'no'
  const message = (): Buffer =>
    segment === null ? Buffer.from(buffer.subarray(start, end)) : textMessage(session, segment)
  const decide = (): Answer | null => {
    if (isEmptySegment) return {}
    if (session.isBroken || session.pendingError !== null) return whileBroken(session, cls)
    if (cls.effects[0]?.kind === 'signal') return signal(session, cls, segment, message)
    if (segment !== null && !isPlainSegment(segment)) return null
    if (cls.parts.length === 0) {
      // A server that has stumbled says so even to an empty text.
      const { lease } = session
      return lease === null || (segment === null && lease.dirty === null) ? {} : null
    }
    const [effect] = cls.effects
    if (cls.parts.length !== 1 || effect === undefined || cls.effects.length !== 1) return null
    return answerOf(session, effect, cls, message)
  }
  // What is in flight may change the answer, and answers keep their order.
  if (session.inFlight.length > 0)
    return session.lease === null || maybeLocal(session, cls) ? 'later' : 'no'
  let answer: Answer | null
  try {
    if (asksToken(cls) && !isEmptySegment && !settleCausalToken(session)) return 'later'
    answer = decide()
  } catch (error) {
    if (!(error instanceof PgSplitError)) throw error
    answer = { error: error.facts('ERROR') }
  }
  if (answer === null) return 'no'
  // It has ended itself.
  if (session.isGone) return 'done'
  refreshFacts(session)
  return finish(session, segment, answer)
}

/** The server knows what to say of several statements, or of parameters where there are none. */
function isPlainSegment({ isPlain, binds, unnamedParses, parses }: Request): boolean {
  return isPlain && binds === 1 && unnamedParses + parses.length <= 1
}

function maybeLocal(session: ClientSession, cls: StatementClass): boolean {
  const [effect] = cls.effects
  if (session.isBroken || cls.parts.length === 0) return true
  if (effect === undefined || cls.parts.length !== 1) return false
  return (
    effect.kind === 'explain-route' ||
    ((effect.kind === 'show' || effect.kind === 'set') && isOwnSetting(effect.name)) ||
    effect.kind === 'deallocate' ||
    effect.kind === 'signal' ||
    (effect.kind === 'discard' && effect.what === 'all')
  )
}

/** SHOW pgsplit.causal_token may have to wait for a position. */
function asksToken(cls: StatementClass): boolean {
  const [effect] = cls.effects
  return cls.parts.length === 1 && effect?.kind === 'show' && effect.name === 'pgsplit.causal_token'
}

function whileBroken(session: ClientSession, cls: StatementClass): Answer {
  if (cls.parts.length === 0) return {}
  const [effect] = cls.effects
  if (cls.parts.length === 1 && (effect?.kind === 'rollback' || effect?.kind === 'commit')) {
    // The end of a lost transaction: whoever only rolls back need not hear of the loss.
    if (session.isBroken) {
      session.isBroken = false
      const lost = effect.kind === 'commit' ? session.pendingError : null
      session.pendingError = null
      return lost === null ? { tag: 'ROLLBACK' } : { error: lost }
    }
  }
  return { error: takeTrouble(session) }
}

/** What a statement is told in a session that has lost something: the loss once, then 25P02. */
export function takeTrouble(session: ClientSession): ErrorFacts {
  const trouble = session.pendingError ?? aborted
  session.pendingError = null
  return trouble
}

/** pg_cancel_backend() and pg_terminate_backend() of a session of ours. */
function signal(
  session: ClientSession,
  cls: StatementClass,
  segment: Request | null,
  message: () => Buffer,
): Answer | null {
  const isAlone =
    segment === null || (segment.binds === 1 && segment.unnamedParses + segment.parses.length <= 1)
  if (!isAlone || cls.parts.length !== 1 || cls.effects.length !== 1) return null
  const body = segment === null ? message().subarray(5) : statementBody(session, segment)
  const signalled = body === null ? null : signalledSession(session, body, segment)
  if (signalled === null) return null
  const { target, does, isBound, isBinary } = signalled
  if (does === 'terminate') target.terminate()
  else if (target !== session) target.cancel()
  else return { error: { sqlstate: '57014', message: 'canceling statement due to user request' } }
  return {
    columns: [`pg_${does}_backend`],
    typeOid: 16,
    rows: [[isBinary ? '\u0001' : 't']],
    tag: 'SELECT 1',
    ...(isBinary ? { isBinary } : {}),
    ...(isBound ? { parameters: [23] } : {}),
  }
}

function answerOf(
  session: ClientSession,
  effect: Effect,
  cls: StatementClass,
  message: () => Buffer,
): Answer | null {
  const isFailed = session.localStatus === txStatus.failed
  if (isFailed) return null
  if (effect.kind === 'show' && isOwnSetting(effect.name)) {
    return { columns: [effect.name], rows: [[showOwnSetting(session, effect.name)]], tag: 'SHOW' }
  }
  if (effect.kind === 'explain-route') {
    return {
      columns: ['node', 'class', 'reason'],
      rows: [session.explain(explainedClass(session, effect.inner))],
      tag: 'EXPLAIN',
    }
  }
  if (effect.kind === 'set' && isOwnSetting(effect.name) && !effect.local) {
    const value = effect.value === null ? null : settingValue(effect.name, effect.value)
    applyOwnSetting(session, effect.name, value)
    return { tag: 'SET' }
  }
  if (effect.kind === 'reset' && isOwnSetting(effect.name)) {
    applyOwnSetting(session, effect.name, null)
    return { tag: 'RESET' }
  }
  const { isOwn } = session.statements
  if (
    effect.kind === 'deallocate' &&
    effect.name !== null &&
    !isOwn &&
    session.statements.has(effect.name)
  ) {
    forgetStatements(session, effect.name)
    return { tag: 'DEALLOCATE' }
  }
  // Where settings change the server reports them, and so it has to run DISCARD ALL itself.
  const isUntouched = session.state === session.startup
  if (
    effect.kind === 'discard' &&
    effect.what === 'all' &&
    isUntouched &&
    session.localStatus === txStatus.idle
  ) {
    // What a pinned connection holds goes with it, whatever it is.
    dropLease(session)
    discardAll(session)
    return { tag: 'DISCARD ALL' }
  }
  return session.lease === null ? withoutLease(session, effect, cls, message) : null
}

function withoutLease(
  session: ClientSession,
  effect: Effect,
  { keyword, hint }: StatementClass,
  message: () => Buffer,
): Answer | null {
  const { deferred } = session
  switch (effect.kind) {
    case 'begin':
      // A server warns of it, in its own words.
      if (deferred !== null) return null
      session.deferred = {
        messages: [message()],
        modes: effect.modes,
        wantsReplica: hint?.route === 'replica',
      }
      session.transaction = new Transaction(session)
      return { tag: keyword === 'start' ? 'START TRANSACTION' : 'BEGIN' }
    case 'set-transaction':
      if (deferred === null || effect.snapshot) return null
      session.deferred = {
        ...deferred,
        messages: [...deferred.messages, message()],
        modes: mergeModes(deferred.modes, effect.modes),
      }
      return { tag: 'SET' }
    case 'commit':
    case 'rollback': {
      if (effect.chain) return null
      const tag = effect.kind === 'commit' ? 'COMMIT' : 'ROLLBACK'
      if (deferred === null) return null
      session.deferred = null
      session.transaction = null
      return { tag }
    }
    case 'deallocate':
      if (effect.name !== null) return null
      forgetStatements(session, null)
      return { tag: 'DEALLOCATE ALL' }
    default:
      return null
  }
}

/** The Query message of the one statement that a segment executes. */
function textMessage(session: ClientSession, segment: Request): Buffer {
  const statement = (segment.needs[0] ?? segment.parses[0])?.statement
  const unnamed = session.unnamed
  const usesUnnamed = segment.unnamedSerial !== 0 || segment.earlierUnnamed !== null
  if (usesUnnamed && unnamed !== null) {
    return query(unnamed.body.toString('utf8', 0, unnamed.body.indexOf(0)))
  }
  return query(
    statement === undefined ? '' : statement.body.toString('utf8', 0, statement.textBytes),
  )
}

function finish(session: ClientSession, segment: Request | null, answer: Answer): 'done' {
  if (segment === null) sayResult(session, answer)
  else saySegment(session, segment, answer)
  session.say(readyForQuery(session.localStatus))
  return 'done'
}

/** What the Parse of the segment's statement said behind its name. */
function statementBody({ unnamed }: ClientSession, segment: Request): Buffer | null {
  if (segment.unnamedSerial !== 0 || segment.earlierUnnamed !== null) {
    return unnamed === null ? null : unnamed.body.subarray(0, unnamed.bodyBytes)
  }
  return (segment.needs[0] ?? segment.parses[0])?.statement.body ?? null
}

function sayResult(session: ClientSession, answer: Answer): void {
  if (answer.error !== undefined) {
    session.say(errorResponse(answer.error))
    return
  }
  if (answer.columns !== undefined) session.say(describe(answer, answer.columns))
  sayRows(session, answer)
}

function sayRows(session: ClientSession, answer: Answer): void {
  for (const row of answer.rows ?? []) session.say(dataRow(row))
  session.say(answer.tag === undefined ? emptyQueryResponse : commandComplete(answer.tag))
}

function describe({ typeOid = 25 }: Answer, columns: readonly string[]): Buffer {
  return rowDescription(columns.map((name) => ({ name, typeOid })))
}

function saySegment(session: ClientSession, segment: Request, answer: Answer): void {
  for (const kind of segment.kinds) {
    if (kind === inventedClose || kind === frontend.close) session.say(closeComplete)
    else if (answer.error !== undefined && kind !== frontend.parse) {
      session.say(errorResponse(answer.error))
      return
    } else if (kind === frontend.parse) session.say(parseComplete)
    else if (kind === frontend.bind) session.say(bindComplete)
    else if (kind === frontend.execute) sayRows(session, answer)
    else {
      if (kind !== describePortal) session.say(parameterDescription(answer.parameters ?? []))
      const shape = answer.columns === undefined ? noData : describe(answer, answer.columns)
      // Of one column; the format of its values comes last.
      if (kind === describePortal && answer.isBinary) shape.writeInt16BE(1, shape.length - 2)
      session.say(shape)
    }
  }
}
