import type { Effect } from '../sql/statement-class.ts'
import { parameterStatus } from '../wire/backend-messages.ts'
import { Cursor } from '../wire/cursor.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'
import { resets } from './setting-effects.ts'

/*
 * RESET brings the server to its own default, and the client to the value of its startup packet.
 * What the client hears of such a parameter is therefore decided when the request has ended.
 */

/** What the client hears of a ParameterStatus that comes with an answer; null: nothing by now. */
export function reportedToClient(
  session: ClientSession,
  request: Request,
  frame: Buffer,
): Buffer | null {
  const { startup } = session
  if (startup.entries.size === 0) return frame
  const cursor = new Cursor(frame, 5, frame.length)
  const name = cursor.string()
  if (startup.get(name.toLowerCase()) === undefined) return frame
  const value = cursor.string()
  if (resets(request)) {
    request.statuses ??= new Map()
    request.statuses.set(name, value)
    return null
  }
  told(session).set(name, value)
  return frame
}

/** The ParameterStatus messages that a request with a RESET ends with. */
export function reportedAtEnd(session: ClientSession, request: Request): readonly Buffer[] {
  const { startup, reported } = session
  if (reported === null || !resets(request)) return []
  const messages: Buffer[] = []
  for (const [name, initial] of reported) {
    const folded = name.toLowerCase()
    if (startup.get(folded) === undefined) continue
    const isReset = request.error === null && isResetAtEnd(request.effects, folded)
    const value = isReset ? initial : request.statuses?.get(name)
    if (value === undefined) continue
    session.noteParameter(name, value)
    if (value === (told(session).get(name) ?? initial)) continue
    told(session).set(name, value)
    messages.push(parameterStatus(name, value))
  }
  return messages
}

/** Last told values of parameters of the startup packet, where they differ from those at log-in. */
function told(session: ClientSession): Map<string, string> {
  session.told ??= new Map()
  return session.told
}

function isResetAtEnd(effects: readonly Effect[], name: string): boolean {
  const last = effects.findLast(
    (effect) =>
      effect.kind === 'reset-all' ||
      (effect.kind === 'discard' && effect.what === 'all') ||
      (effect.kind === 'reset' && effect.name === name) ||
      (effect.kind === 'set' && effect.name === name && !effect.local),
  )
  return last !== undefined && (last.kind !== 'set' || (last.value === null && !last.opaque))
}
