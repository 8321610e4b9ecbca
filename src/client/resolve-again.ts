import { txStatus } from '../wire/message-types.ts'
import { undoNames } from './name-steps.ts'
import { type NamedText, resolveNames } from './named-text.ts'
import type { ClientSession } from './session.ts'

let nextUnnamed = 1

/** Tells an unnamed statement from all others. */
export function unnamedSerial(): number {
  return nextUnnamed++
}

/** The unnamed statement of an earlier segment: what it names may be another statement by now. */
export function resolveAgain(session: ClientSession, before: NamedText): void {
  const names = resolveNames(session, before.outer, before.original)
  undoNames(session, names)
  const { unnamed } = session
  if (unnamed === null || session.localStatus === txStatus.failed) {
    session.unnamedNames = { ...before, needs: [] }
    return
  }
  session.unnamedNames = names
  session.unnamedClass = names.cls
  if (names.text.equals(before.text)) return
  const rest = unnamed.body.subarray(unnamed.body.indexOf(0), unnamed.bodyBytes)
  const body = Buffer.concat([names.text, rest])
  session.unnamed = { serial: unnamedSerial(), body, bodyBytes: body.length, own: null }
}
