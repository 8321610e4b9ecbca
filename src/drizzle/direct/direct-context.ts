import { newPatience, type Patience } from '../../routing/patience.ts'
import { initialFacts, type SessionFacts } from '../../routing/requirement.ts'
import type { SessionPositions } from '../../routing/session-positions.ts'

/** What the door keeps of one client: a web request, a job, or a session object outside of both. */
export interface DirectContext {
  readonly facts: SessionFacts
  /** What the process as a whole has written. */
  readonly process: SessionFacts
  /** What the process has written counts as written here. */
  readonly isShared: boolean
  /** Cluster that a token named before it was known which one this is; null = none to compare. */
  expectedCluster: string | null
  readonly patience: Patience
  /** If it is another one, the token says nothing; else it is an error. */
  readonly isForeignIgnored: boolean
  /** So many replicas are to show a commit of its before it resolves; Infinity = all. */
  readonly commitVisible: number
  /** Something of it ran on the primary. */
  hasUsedPrimary: boolean
}

export function newDirectContext(
  given: Partial<SessionFacts>,
  process: SessionFacts,
  isShared: boolean,
  isForeignIgnored = false,
  commitVisible = 0,
): DirectContext {
  return {
    // Read sessions are asked for by name; write sessions go to the primary whatever this says.
    facts: initialFacts({ ...given, group: process, wantsReplica: true }),
    process,
    isShared,
    expectedCluster: null,
    patience: newPatience(),
    isForeignIgnored,
    commitVisible,
    hasUsedPrimary: false,
  }
}

/** Takes in what the process has written, if that counts here. */
export function takeShared(context: DirectContext, positions: SessionPositions): void {
  if (!context.isShared) return
  const { facts, patience } = context
  positions.takeIn(facts)
  if (facts.watermark !== null || facts.dirtySince >= 0) patience.hasWritten = true
}
