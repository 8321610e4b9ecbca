import type { ClientSession } from './session.ts'
import { resetOwnSettings } from './setting-effects.ts'

/** DISCARD ALL: the session is as after its log-in; `isOnServer`: so is its lease. */
export function discardAll(session: ClientSession, isOnServer: boolean): void {
  resetOwnSettings(session)
  session.settings.discard(isOnServer)
  session.pins.clear()
  session.blind.clear()
  session.listener?.clear()
  session.sequenceConnection = null
  session.notePin()
  forgetStatements(session, null)
  session.portals.closeNamed()
}

/** Drops one name, or all; true when there was something to drop. */
export function forgetStatements(session: ClientSession, name: string | null): boolean {
  let isKnown = false
  for (const [known, statement] of session.statements) {
    if (name !== null && known !== name) continue
    session.statements.forget(known, statement)
    isKnown = true
  }
  return isKnown
}
