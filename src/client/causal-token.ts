import { PgSplitError } from '../errors.ts'
import { formatCausalToken, parseCausalToken } from '../routing/watermark.ts'
import type { ClientSession } from './session.ts'

/** How long SHOW pgsplit.causal_token may wait for a position, ms. */
const maxWaitMs = 5_000

/**
 * Before `SHOW pgsplit.causal_token`: true when the session's watermark covers all that it has
 * written and seen. False: a position is still being asked for, and the session goes on when it has
 * come. Throws PgSplitError 57P03 when none can be had, as without a primary.
 */
export function settleCausalToken(session: ClientSession): boolean {
  const { facts, cluster } = session
  const { positions } = cluster
  const nowMs = cluster.nowMs()
  if (session.tokenDeadlineMs === null && session.onPrimary !== 'nothing')
    positions.notePrimary(facts)
  if (!positions.settle(facts)) {
    session.tokenDeadlineMs ??= nowMs + maxWaitMs
    if (nowMs < session.tokenDeadlineMs) {
      goOnLater(session, session.tokenDeadlineMs - nowMs)
      return false
    }
    session.tokenDeadlineMs = null
    throw new PgSplitError({
      sqlstate: '57P03',
      message: 'no position is known that covers what this session has done',
      detail: `No node answered for ${maxWaitMs} ms.`,
      hint: 'SHOW NODES in the admin database tells what is wrong with each node; ask again when there is a primary.',
    })
  }
  session.tokenDeadlineMs = null
  return true
}

/** The session's token as text; empty while it has seen nothing. */
export function causalToken({ facts, cluster }: ClientSession): string {
  const { systemIdentifier } = cluster
  return facts.watermark === null ? '' : formatCausalToken({ ...facts.watermark, systemIdentifier })
}

function goOnLater(session: ClientSession, leftMs: number): void {
  const { cluster, facts } = session
  const again = (): void => {
    forget()
    clearTimeout(timer)
    session.pump()
  }
  cluster.positions.hurry(facts)
  const forget = cluster.onNews(again)
  const timer = setTimeout(again, Math.ceil(leftMs))
  timer.unref()
}

/**
 * `SET pgsplit.causal_token`: the session's reads wait for it from now on; an empty one says nothing.
 * Throws PgSplitError 22023 for text that is no token, and for a token of another cluster.
 */
export function causalTokenChange(session: ClientSession, text: string): () => void {
  if (text === '') return () => {}
  const token = parseCausalToken(text)
  if (token === null) {
    throw new PgSplitError({
      sqlstate: '22023',
      message: `invalid value for parameter "pgsplit.causal_token": "${text.slice(0, 64)}"`,
      hint: 'Give it what SHOW pgsplit.causal_token printed, such as 1/0/3000148@7312345678901234567.',
    })
  }
  const { systemIdentifier } = session.cluster
  const isForeign = token.systemIdentifier !== null && systemIdentifier !== null
  if (isForeign && token.systemIdentifier !== systemIdentifier) {
    throw new PgSplitError({
      sqlstate: '22023',
      message: 'the causal token is from another cluster',
      detail: `It names system identifier ${token.systemIdentifier}; this cluster has ${systemIdentifier}.`,
      hint: 'A token counts only where it was given out, and in copies of that cluster by replication.',
    })
  }
  return () => {
    session.hasWritten = true
    session.cluster.positions.raise(session.facts, { timeline: token.timeline, lsn: token.lsn })
  }
}
