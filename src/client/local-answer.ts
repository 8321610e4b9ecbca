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
  noticeResponse,
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
import { applyOwnSetting, isOwnSetting, isShownSetting, showOwnSetting } from './own-settings.ts'
import type { Request } from './request.ts'
import { describePortal, inventedClose } from './segment-parts.ts'
import type { ClientSession } from './session.ts'
import { refreshFacts } from './setting-effects.ts'
import { settingValue } from './setting-value.ts'
import { mergeModes } from './transaction.ts'

interface Answer {
  readonly tag?: string
  /** All of type text. */
  readonly columns?: readonly string[]
  readonly rows?: readonly (readonly string[])[]
  readonly error?: ErrorFacts
  /** Comes in front of the tag. */
  readonly warning?: ErrorFacts
  /** The error comes when it runs; else at once. */
  readonly isOfExecute?: true
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
      if (!session.block.isInTrouble) return 'no'
      return finish(session, segment, { error: session.block.takeTrouble() })
    }
  }
  if (!isEmptySegment && cls === bareSyncClass) return 'no'
  const message = (): Buffer =>
    segment === null ? Buffer.from(buffer.subarray(start, end)) : textMessage(session, segment)
  const decide = (): Answer | null => {
    if (isEmptySegment) return {}
    if (session.block.isInTrouble) return whileBroken(session, cls)
    if (segment !== null && !isPlainSegment(segment)) return null
    const refused = segment?.own?.error ?? null
    if (refused !== null) {
      return session.localStatus === txStatus.idle ? { error: refused, isOfExecute: true } : null
    }
    if (cls.parts.length === 0) {
      // A server that has stumbled says so even to an empty text.
      const { lease } = session
      return lease === null || (segment === null && lease.condemnation === null) ? {} : null
    }
    const [effect] = cls.effects
    if (cls.parts.length !== 1 || effect === undefined || cls.effects.length !== 1) return null
    // Where there is none, a server says so to the Parse.
    const isUnknown = effect.kind === 'show' && !isShownSetting(effect.name)
    if (segment !== null && isUnknown) return null
    return answerOf(session, effect, cls, message)
  }
  // What is in flight may change the answer, and answers keep their order.
  if (session.inFlight.length > 0)
    return session.lease === null || maybeLocal(session, cls) ? 'later' : 'no'
  let answer: Answer | null
  try {
    // An Execute has waited for it.
    if (segment === null && asksToken(cls) && !settleCausalToken(session)) return 'later'
    answer = decide()
  } catch (error) {
    if (!(error instanceof PgSplitError)) throw error
    // It ends a transaction, which is a server's to do.
    answer = session.deferred === null ? { error: error.facts('ERROR') } : null
  }
  if (answer === null) return 'no'
  // It has ended itself.
  if (session.isGone) return 'done'
  refreshFacts(session)
  return finish(session, segment, answer)
}

/** The server knows what to say of several statements, of portals, and of any other order. */
function isPlainSegment({ isPlain, binds, kinds }: Request): boolean {
  if (!isPlain || binds !== 1) return false
  let last = -1
  for (const kind of kinds) {
    if (kind === inventedClose) continue
    const place = usualOrder.indexOf(kind)
    if (place <= last) return false
    last = place
  }
  return true
}

const usualOrder: readonly number[] = [
  frontend.parse,
  frontend.describe,
  frontend.bind,
  describePortal,
  frontend.execute,
]

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

function whileBroken({ block }: ClientSession, cls: StatementClass): Answer | null {
  if (cls.parts.length === 0) return {}
  const [effect] = cls.effects
  if (cls.parts.length > 1 && block.stage === 'lost' && !block.hasNews) {
    // `ROLLBACK; BEGIN`: the server, which is in no transaction, warns of the one and does the other.
    const [first] = cls.parts[0]?.effects ?? []
    if (first?.kind === 'rollback' || first?.kind === 'commit') {
      if (!first.chain) {
        block.leaveLost()
        return null
      }
    }
  }
  if (cls.parts.length === 1 && (effect?.kind === 'rollback' || effect?.kind === 'commit')) {
    // The end of a lost transaction: whoever only rolls back need not hear of the loss.
    if (block.stage === 'lost') {
      block.leaveLost()
      const news = block.takeNews()
      const isHeard = news !== null && effect.kind === 'commit'
      return isHeard ? { error: news } : { tag: 'ROLLBACK' }
    }
  }
  return { error: block.takeTrouble() }
}

function answerOf(
  session: ClientSession,
  effect: Effect,
  cls: StatementClass,
  message: () => Buffer,
): Answer | null {
  if (session.localStatus === txStatus.failed) return null
  const own = ownAnswer(session, effect)
  if (own !== null) return own
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
    discardAll(session, false)
    return { tag: 'DISCARD ALL' }
  }
  return session.lease === null ? withoutLease(session, effect, cls, message) : null
}

/** `pgsplit.*` settings, and EXPLAIN (ROUTE). */
function ownAnswer(session: ClientSession, effect: Effect): Answer | null {
  // A portal outlives its Sync there: the server gets a stand-in for it (`own-command.ts`).
  if (session.lease !== null && session.lease.status !== txStatus.idle) return null
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
    if (effect.config !== undefined || effect.opaque) return null
    const value = effect.value === null ? null : settingValue(effect.name, effect.value)
    applyOwnSetting(session, effect.name, value)
    return { tag: 'SET' }
  }
  if (effect.kind === 'reset' && isOwnSetting(effect.name)) {
    applyOwnSetting(session, effect.name, null)
    return { tag: 'RESET' }
  }
  return null
}

function withoutLease(
  session: ClientSession,
  effect: Effect,
  cls: StatementClass,
  message: () => Buffer,
): Answer | null {
  const { deferred } = session
  switch (effect.kind) {
    case 'begin':
      // A server warns of it, in its own words.
      if (deferred !== null) return null
      session.block.defer(
        {
          messages: [message()],
          marks: [],
          start: cls.hint?.route === 'primary' ? 'primary' : session.facts.transactions,
          modes: effect.modes,
          wantsReplica: cls.hint?.route === 'replica',
          saysReadWrite: effect.modes.readOnly === false,
        },
        session,
      )
      return { tag: cls.keyword === 'start' ? 'START TRANSACTION' : 'BEGIN' }
    case 'savepoint':
    case 'release':
    case 'rollback-to':
      return outsideBlock(session, effect, cls)
    case 'set-transaction':
      if (deferred === null) return outsideBlock(session, effect, cls)
      if (effect.snapshot) return null
      session.block.deferAgain({
        ...deferred,
        messages: [...deferred.messages, message()],
        modes: mergeModes(deferred.modes, effect.modes),
        saysReadWrite: deferred.saysReadWrite || effect.modes.readOnly === false,
      })
      return { tag: 'SET' }
    case 'commit':
    case 'rollback': {
      if (deferred === null || effect.chain) return outsideBlock(session, effect, cls)
      const tag = effect.kind === 'commit' ? 'COMMIT' : 'ROLLBACK'
      session.block.cancel()
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

/**
 * Where there is no server to ask, what every server says to a command that has a meaning in a
 * transaction block only. Where there is one, it says so in its own words.
 */
function outsideBlock(session: ClientSession, effect: Effect, cls: StatementClass): Answer | null {
  const { cluster, facts, deferred, isBroken, localStatus } = session
  if (deferred !== null || isBroken || localStatus !== txStatus.idle) return null
  if (cluster.route(cls, facts, 0).node !== null) return null
  const only = (what: string): ErrorFacts => ({
    sqlstate: '25P01',
    message: `${what} can only be used in transaction blocks`,
  })
  const none: ErrorFacts = { sqlstate: '25P01', message: 'there is no transaction in progress' }
  switch (effect.kind) {
    case 'commit':
      if (effect.chain) return { error: only('COMMIT AND CHAIN'), isOfExecute: true }
      return { warning: none, tag: 'COMMIT' }
    case 'rollback':
      if (effect.chain) return { error: only('ROLLBACK AND CHAIN'), isOfExecute: true }
      return { warning: none, tag: 'ROLLBACK' }
    case 'savepoint':
      return { error: only('SAVEPOINT'), isOfExecute: true }
    case 'release':
      return { error: only('RELEASE SAVEPOINT'), isOfExecute: true }
    case 'rollback-to':
      return { error: only('ROLLBACK TO SAVEPOINT'), isOfExecute: true }
    case 'set-transaction':
      return effect.snapshot ? null : { warning: only('SET TRANSACTION'), tag: 'SET' }
    default:
      return null
  }
}

/** The Query message of the one statement that a segment executes. */
function textMessage(session: ClientSession, segment: Request): Buffer {
  const statement = (segment.needs[0] ?? segment.parses[0])?.statement
  const unnamed = session.unnamed.statement
  const usesUnnamed = segment.unnamed.isParsed || segment.unnamed.earlier !== null
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

function sayResult(session: ClientSession, answer: Answer): void {
  if (answer.error !== undefined) {
    session.say(errorResponse(answer.error))
    return
  }
  if (answer.columns !== undefined) session.say(describe(answer.columns))
  sayRows(session, answer)
}

function sayRows(session: ClientSession, answer: Answer): void {
  for (const row of answer.rows ?? []) session.say(dataRow(row))
  if (answer.warning !== undefined) session.say(noticeResponse('WARNING', answer.warning))
  session.say(answer.tag === undefined ? emptyQueryResponse : commandComplete(answer.tag))
}

function describe(columns: readonly string[]): Buffer {
  return rowDescription(columns.map((name) => ({ name, typeOid: 25 })))
}

function failsAt({ isOfExecute }: Answer, kind: number): boolean {
  return isOfExecute === true ? kind === frontend.execute : kind !== frontend.parse
}

function saySegment(session: ClientSession, segment: Request, answer: Answer): void {
  for (const kind of segment.kinds) {
    if (kind === inventedClose) session.say(closeComplete)
    else if (answer.error !== undefined && failsAt(answer, kind)) {
      session.say(errorResponse(answer.error))
      return
    } else if (kind === frontend.parse) session.say(parseComplete)
    else if (kind === frontend.bind) session.say(bindComplete)
    else if (kind === frontend.execute) sayRows(session, answer)
    else {
      if (kind !== describePortal) session.say(parameterDescription([]))
      session.say(answer.columns === undefined ? noData : describe(answer.columns))
    }
  }
}
