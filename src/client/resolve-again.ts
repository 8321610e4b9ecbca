import { txStatus } from '../wire/message-types.ts'
import { undoNames } from './name-steps.ts'
import { type NamedText, resolveNames } from './named-text.ts'
import type { ClientSession } from './session.ts'

/** The unnamed statement of an earlier segment: what it names may be another statement by now. */
export function resolveAgain(session: ClientSession, before: NamedText): void {
  const names = resolveNames(session, before.outer, before.original)
  undoNames(session, names)
  const { unnamed } = session
  if (unnamed.statement === null || session.localStatus === txStatus.failed) {
    unnamed.rename({ ...before, needs: [] })
    return
  }
  unnamed.rename(names)
  unnamed.judge(names.cls)
  if (!names.text.equals(before.text)) unnamed.rewrite(names.text)
}
