import { txStatus } from '../wire/message-types.ts'
import { undoNames } from './name-steps.ts'
import { type NamedText, resolveNames } from './named-text.ts'
import type { ClientSession } from './session.ts'

/** Does what it names mean other statements than at its Parse? */
export function isOutdated(session: ClientSession, before: NamedText): boolean {
  const names = resolveNames(session, before.outer, before.original)
  undoNames(session, names)
  return !names.text.equals(before.text)
}

/** The unnamed statement of an earlier segment: what it names may be another statement by now. */
export function resolveAgain(session: ClientSession, before: NamedText): void {
  const names = resolveNames(session, before.outer, before.original)
  undoNames(session, names)
  const { unnamed } = session
  if (unnamed.statement === null || session.localStatus === txStatus.failed) {
    unnamed.rename({ ...before, needs: [] })
    return
  }
  const isSame = names.text.equals(before.text)
  unnamed.rename(isSame ? { ...names, hasUnknown: before.hasUnknown } : names)
  unnamed.judge(names.cls)
  if (!isSame) unnamed.rewrite(names.text)
}
