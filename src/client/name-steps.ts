import type { ServerConnection } from '../server/server-connection.ts'
import type { NamedText, NameStep } from './named-text.ts'
import { isKnown } from './needs.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/** An Execute of what `names` says, in a segment that is being collected. */
export function stepInSegment(
  { statements }: ClientSession,
  segment: Request,
  names: NamedText,
): void {
  for (const step of names.steps) {
    const { kind, name, statement } = step
    segment.steps ??= []
    if (statement !== null) {
      if (kind === 'prepare') {
        if (!isKnown(segment, statement)) segment.absent = [...(segment.absent ?? []), statement]
        statements.restore(name, statement)
      } else statements.forget(name, statement)
    }
    segment.steps.push({ ...step, part: segment.kinds.length })
  }
}

/** Takes back what `resolveNames` has done to the session's names. */
export function undoNames(session: ClientSession, { steps }: NamedText): void {
  undo(session, null, steps, () => false)
}

/** Steps are on their way: what is sent behind them finds them done. */
export function expectSteps(
  connection: ServerConnection,
  { steps, kind, sentKinds, parses }: Request,
): void {
  for (const step of steps ?? []) {
    if (kind !== 'extended' || step.part >= sentKinds) note(connection, step, true)
  }
  // A name of the client's own that was dropped, and given again by a Parse behind that.
  for (const { statement, unit } of parses) {
    if (unit < sentKinds || statement.shared === null) continue
    const isDropped = steps?.some((step) => step.kind === 'drop' && step.statement === statement)
    if (isDropped !== true) connection.prepared.set(statement.serverName, true)
  }
}

/**
 * The request has ended: names are as the statements have left them that did run. Prepared
 * statements are not transactional (PostgreSQL documentation, PREPARE).
 */
export function settleSteps(
  session: ClientSession,
  request: Request,
  connection: ServerConnection | null,
): void {
  if (request.steps === null || request.error === null) return
  undo(session, connection, request.steps, (step) => isDone(request, step))
  for (const name of request.unprepared ?? []) connection?.prepared.delete(name)
}

/** The request has ended without an answer of a server. */
export function undoSteps(session: ClientSession, request: Request): void {
  if (request.steps === null) return
  undo(session, null, request.steps, (step) => request.connection !== null && isDone(request, step))
}

function isDone(request: Request, step: NameStep): boolean {
  const { part, kind, name, statement } = step
  // What the same segment was to make first has never been there to be closed.
  const isOwnParse =
    (kind === 'close' || kind === 'drop') &&
    request.parses.some((parse) => {
      return parse.name === name && parse.statement === statement && !request.isUnitDone(parse.unit)
    })
  if (isOwnParse) return true
  return request.kind === 'extended' ? request.isUnitDone(part) : part < request.completed
}

/** Takes back what was not done, last first. */
function undo(
  { statements }: ClientSession,
  connection: ServerConnection | null,
  steps: readonly NameStep[],
  isDoneAlready: (step: NameStep) => boolean,
): void {
  for (const step of [...steps].reverse()) {
    if (isDoneAlready(step)) continue
    const { kind, name, statement } = step
    if (connection !== null) note(connection, step, false)
    if (statement === null) continue
    if (kind === 'prepare') statements.forget(name, statement)
    else statements.restore(name, statement)
  }
}

function note({ prepared }: ServerConnection, step: NameStep, isDoneNow: boolean): void {
  const { kind, statement } = step
  if (kind === 'close') return
  const name = statement?.serverName ?? ''
  if (kind === 'prepare') {
    if (isDoneNow) prepared.set(name, true)
    else prepared.delete(name)
  } else if (isDoneNow) {
    step.dropped = kind === 'drop-all' ? [...prepared.keys()] : prepared.has(name) ? [name] : []
    for (const dropped of step.dropped) prepared.delete(dropped)
  } else for (const dropped of step.dropped ?? []) prepared.set(dropped, true)
}
