import type { ErrorFacts } from '../errors.ts'
import { errorResponse, readyForQuery } from '../wire/backend-messages.ts'
import { undoSteps } from './name-steps.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/** Answers a request with an error of ours; nothing was sent for it. */
export function refuse(session: ClientSession, request: Request, facts: ErrorFacts): void {
  session.holdUntilMs = null
  if (session.isGone) return
  const wasInBlock = session.deferred !== null || request.begin !== null
  if (wasInBlock) {
    const { transaction } = session
    if (transaction !== null) session.settings.goOnWith(transaction.before.state)
    session.block.cancel()
    session.block.lose(false)
    session.listener?.rollBack(0)
  }
  for (const { name, statement } of request.parses) session.statements.forget(name, statement)
  undoSteps(session, request)
  session.say(errorResponse({ ...facts, severity: 'ERROR' }))
  if (request.isComplete) session.say(readyForQuery(session.localStatus))
  else session.collecting.fail()
}
