import { type Asker, ask } from '../server/ask.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { StatementClass, StatementPart } from '../sql/statement-class.ts'
import { query } from '../wire/frontend-messages.ts'
import { txStatus } from '../wire/message-types.ts'
import { mayHaveWritten } from './may-have-written.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

const discardSequences = query('DISCARD SEQUENCES')

/** Writes of these kinds call nextval() only by a trigger, and reads of these kinds don't. */
const seldom =
  /^(?:UPDATE|DELETE|TRUNCATE|VACUUM|ANALYZE|DROP|ALTER|GRANT|REVOKE|COMMENT|LOCK|NOTIFY|REFRESH)\b|^(?:shows|reads|locks rows)\b|answers for the node/

/** Has running it called nextval(), as far as its form tells? `maybe`: nobody knows it yet. */
type Likelihood = 'no' | 'maybe' | 'yes'

const likely = new WeakMap<StatementClass, Likelihood>()

function callsNextval(cls: StatementClass): Likelihood {
  let calls = likely.get(cls)
  if (calls === undefined) {
    // A function call by message has no parts.
    if (cls.parts.length === 0) calls = cls.verdict === 'primary' ? 'yes' : 'no'
    else calls = likeliest(cls.parts.filter((part) => !isMereRead(cls, part)).map(likelihood))
    likely.set(cls, calls)
  }
  return calls
}

function likelihood({ verdict, reason, ignorance }: StatementPart): Likelihood {
  if ((verdict !== 'primary' && verdict !== 'pin') || seldom.test(reason)) return 'no'
  // The last catalog had nothing against it; it is judged again when there is one.
  return ignorance === undefined ? 'yes' : 'maybe'
}

function likeliest(found: readonly Likelihood[]): Likelihood {
  if (found.includes('yes')) return 'yes'
  return found.includes('maybe') ? 'maybe' : 'no'
}

/** `SELECT lastval()`; who inserts what currval() gives may call nextval() as well. */
function isMereRead({ keyword }: StatementClass, { effects }: StatementPart): boolean {
  return keyword === 'select' && effects.some(({ kind }) => kind === 'sequence-read')
}

function classesOf(request: Request): readonly StatementClass[] {
  return request.kind === 'extended' && request.executed.length > 0
    ? request.executed
    : [request.cls]
}

/** Does it ask what nextval() gave the session last? */
function readsSequences({ effects }: Request): boolean {
  return effects.length > 0 && effects.some(({ kind }) => kind === 'sequence-read')
}

/**
 * The connection on which the session last ran what may have called nextval(), if the request asks
 * for its values and nobody else has called nextval() there since. It may be in use.
 */
export function sequenceConnection(
  session: ClientSession,
  request: Request,
  nodeIndex: number,
): ServerConnection | null {
  const own = session.sequenceConnection
  if (own === null || !readsSequences(request)) return null
  const isOurs = !own.isClosed && own.nodeIndex === nodeIndex && own.hasSequencesOf(session.id)
  return isOurs ? own : null
}

/**
 * Call it before a request is sent that may write, or that goes on behind a Flush: notes whose values
 * `currval` and `lastval` would give on the connection, and discards those of another session
 * before this one can see them.
 */
export function claimSequences(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
  isFirst: boolean,
): void {
  const reads = readsSequences(request)
  const writes = mayHaveWritten(request)
  const calls = writes && classesOf(request).some((cls) => callsNextval(cls) !== 'no')
  if (calls) session.sequenceConnection = connection
  if (connection.hasSequencesOf(session.id)) return
  const isForeign = !connection.lacksSequences && connection.status !== txStatus.failed
  const mayRead = reads || (calls && session.scope.usesCurrval) || !request.isComplete
  if (isFirst && isForeign && mayRead) ask(connection, discardSequences, discarding)
  if (calls || reads || (writes && connection.lacksSequences)) connection.noteSequences(session.id)
  else if (writes) connection.mixSequences()
}

/** In an aborted transaction DISCARD fails, and the values stay. */
const discarding: Asker = {
  answered({ error }, connection) {
    if (error !== null) connection.mixSequences()
  },
  lost() {},
}

/**
 * A request that may have written has ended: pins the session if it uses `currval` or `lastval` of
 * an earlier transaction. Its scope learns from that: other sessions are pinned at their nextval().
 */
export function noteSequences(session: ClientSession, request: Request): void {
  const { transaction, scope } = session
  const { effects, error } = request
  // Nobody is pinned because it isn't known what a read does.
  const calls = classesOf(request).some((cls) => callsNextval(cls) === 'yes')
  const reads = effects.some((effect) => effect.kind === 'sequence-read' && !effect.isOwn)
  if (reads && !(transaction?.callsNextval ?? false) && !callsBefore(request)) {
    if (session.sequenceConnection !== null) scope.noteCurrval()
    if (error === null) session.pins.add('reads sequences')
  }
  if (effects.some((effect) => effect.kind === 'discard' && /^(all|seq)/.test(effect.what))) {
    session.sequenceConnection = null
    request.connection?.forgetSequences()
  } else if (calls) {
    if (transaction !== null) transaction.callsNextval = true
    if (scope.usesCurrval) session.pins.add('calls nextval')
  }
}

/** Is there something in front of the read, in the same request, that may have called nextval()? */
function callsBefore(request: Request): boolean {
  for (const cls of classesOf(request)) {
    for (const part of cls.parts) {
      if (part.effects.some(({ kind }) => kind === 'sequence-read')) return false
      if (likelihood(part) === 'yes') return true
    }
  }
  return false
}
