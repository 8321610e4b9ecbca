import type { ClientSession } from './session.ts'

/** The session has names of its own that were brought nowhere yet, and nothing else that pins it. */
export function awaitsOwnNames({ statements, pins }: ClientSession): boolean {
  return statements.isOwn && statements.ownConnection === null && pins.isOnly('own names')
}

/** Its transaction could not leave the replica, where the session must not stay. */
export function forsakeOwnNames(session: ClientSession): void {
  if (!awaitsOwnNames(session)) return
  session.statements.share()
  session.pins.drop('own names')
}
