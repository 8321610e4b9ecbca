import type { ClientSession } from '../client/session.ts'
import type { SessionList } from '../http/http-source.ts'
import { clientRow } from './admin-view.ts'

/**
 * At most `limit` sessions: those first that wait, then the pinned, then the busy. All of them are
 * looked at, but rows are made of these only.
 */
export function sessionRows(sessions: Iterable<ClientSession>, limit: number): SessionList {
  const ranks: ClientSession[][] = [[], [], [], []]
  const pinned: Record<string, number> = {}
  let total = 0
  for (const session of sessions) {
    total++
    const { pinWord } = session
    if (pinWord !== null) pinned[pinWord] = (pinned[pinWord] ?? 0) + 1
    const rank = ranks[rankOf(session)] as ClientSession[]
    if (rank.length < limit) rank.push(session)
  }
  return { total, pinned, rows: ranks.flat().slice(0, limit).map(clientRow) }
}

function rankOf({ waiting, pinWord, inFlight, lease }: ClientSession): number {
  if (waiting.request !== null) return 0
  if (pinWord !== null) return 1
  return inFlight.length > 0 || lease !== null ? 2 : 3
}
