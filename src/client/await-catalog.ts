import { frontend } from '../wire/message-types.ts'
import { decodeText } from '../wire/raw-text.ts'
import { classOf } from './judge-parse.ts'
import type { ClientSession } from './session.ts'

/**
 * Does a message of a client that may only read have to wait until the catalog is read? What it says
 * to run is not proved now, and may be then.
 */
export function awaitsCatalog(
  session: ClientSession,
  type: number,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  const { guard, scope } = session
  if (guard === null || scope.classifier.isCertain || session.isSkipping) return false
  const from = start + 5
  if (type === frontend.query || type === frontend.parse) {
    const textFrom = type === frontend.query ? from : buffer.indexOf(0, from) + 1
    const textEnd = buffer.indexOf(0, textFrom)
    if (textFrom <= 0 || textEnd < 0 || textEnd >= end) return false
    const cls = scope.classifier.classify(buffer, textFrom, textEnd, session.lexMode)
    if (guard.awaitsCatalog(cls)) return true
    return cls.effects.some((effect) => effect.kind === 'execute' && isNamed(session, effect.name))
  }
  if (type !== frontend.bind) return false
  const nameFrom = buffer.indexOf(0, from) + 1
  const nameEnd = buffer.indexOf(0, nameFrom)
  if (nameFrom <= 0 || nameEnd < 0 || nameEnd >= end) return false
  if (nameEnd > nameFrom) return isNamed(session, decodeText(buffer, nameFrom, nameEnd))
  const { cls } = session.unnamed
  return cls !== null && guard.awaitsCatalog(cls)
}

/** The same for the prepared statement of this name. */
function isNamed(session: ClientSession, name: string): boolean {
  const statement = session.statements.get(name)
  return (
    statement !== undefined && session.guard?.awaitsCatalog(classOf(session, statement)) === true
  )
}
