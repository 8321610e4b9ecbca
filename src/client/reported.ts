import { parameterStatus } from '../wire/backend-messages.ts'
import { Cursor } from '../wire/cursor.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/**
 * What the client hears of a ParameterStatus that comes with an answer; null: nothing. RESET brings
 * the server to its own default, and the client to the value of its startup packet: then that is
 * reported, as the first log-in with this packet found it, if it is news to the client.
 */
export function reportedToClient(
  session: ClientSession,
  request: Request,
  frame: Buffer,
): Buffer | null {
  const { startup, state, scope } = session
  if (startup.entries.size === 0 || !resetsOnly(request)) return frame
  const cursor = new Cursor(frame, 5, frame.length)
  const name = cursor.string()
  const folded = name.toLowerCase()
  const initial = startup.get(folded)
  const reported = scope.reported.get(startup)?.get(name)
  if (initial === undefined || reported === undefined) return frame
  session.noteParameter(name, reported)
  return state.get(folded) === initial ? null : parameterStatus(name, reported)
}

function resetsOnly({ effects }: Request): boolean {
  let isReset = false
  for (const effect of effects) {
    if (effect.kind === 'set' && effect.value !== null) return false
    isReset ||=
      effect.kind === 'set' ||
      effect.kind === 'reset' ||
      effect.kind === 'reset-all' ||
      (effect.kind === 'discard' && effect.what === 'all')
  }
  return isReset
}
