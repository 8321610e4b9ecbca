import type { ClusterCore } from '../../core/cluster-core.ts'
import type { DatabaseCatalog } from '../../core/database-catalog.ts'
import { isRefusedByReplicasOnly, judgeError } from '../../routing/judge-error.ts'
import type { StatementClass } from '../../sql/statement-class.ts'
import { DoorError } from '../door-error.ts'
import { isRead, mayHaveCommitted } from '../judge-text.ts'
import { isFatal, isLost, serverErrorOf, sqlstateOf, whyOf } from './server-error.ts'

/** A statement that has failed on a node. */
export interface FailedRun {
  readonly core: ClusterCore
  readonly catalog: DatabaseCatalog
  readonly cls: StatementClass
  readonly nodeIndex: number
  readonly error: unknown
}

export interface Judged {
  /**
   * `again`: elsewhere, or on the next primary; `refused`: by a replica, the primary may run it;
   * `doubt`: `again`, if the replica's catalog is older than the primary's.
   */
  readonly verdict: 'again' | 'no' | 'refused' | 'doubt'
  /** Bit mask of the nodes that it need not be tried on any more. */
  readonly exclude: number
  /** The connection is of no use any more. */
  readonly isNodeTrouble: boolean
  /** What the application is told if it isn't run again. */
  readonly error: unknown
  readonly reason: string
}

const everyReplica = 0x7fffffff

/** A proved read, of which the application has seen nothing. */
export function judgeRead(failed: FailedRun): Judged {
  const { core, nodeIndex, error } = failed
  const server = serverErrorOf(error)
  const reason = whyOf(error)
  const bit = 1 << nodeIndex
  if (server === null) {
    if (!isLost(error)) return judged('no', 0, true, error)
    core.reportFailure(nodeIndex, 'reset', reason)
    return judged('again', bit, true, lost(failed))
  }
  const isNodeTrouble = isFatal(server)
  const verdict = judgeError(server, {
    onReplica: core.isReplica(nodeIndex),
    usesNames: false,
    isCancelled: false,
    isCancelNear: false,
    isReadOnlySession: false,
  })
  switch (verdict) {
    case null:
    case 'same':
      return judged('no', 0, isNodeTrouble, error)
    case 'node-down':
      core.reportFailure(nodeIndex, 'shutdown', reason)
      return judged('again', bit, true, error)
    case 'other-node':
      return judged('again', bit, isNodeTrouble, error)
    case 'misrouted':
      return judged('refused', everyReplica, false, error)
    case 'primary':
      return judged('again', everyReplica, isNodeTrouble, error)
    case 'doubt':
      return judged(core.hasPrimary ? 'doubt' : 'no', everyReplica, isNodeTrouble, error)
    default:
      return verdict satisfies never
  }
}

/**
 * What a replica refused has come to its end on the primary: is it a lesson for all such statements?
 * `error` null: it was done there.
 */
export function learn({ core, catalog, cls, nodeIndex, error }: FailedRun, end: unknown): void {
  const sqlstate = sqlstateOf(error)
  // It may have gone by a catalog that is not the primary's any more.
  if (catalog.age.isBehind(nodeIndex)) return
  const isUndecided = end !== null && sqlstateOf(end) === ''
  if (isUndecided || !isRefusedByReplicasOnly(sqlstate, end === null ? null : sqlstateOf(end))) {
    return
  }
  const isNew = catalog.classifier.learnPrimary(
    cls,
    `a replica refused it (${sqlstate}: ${whyOf(error)})`,
  )
  const what = { sqlstate, keyword: cls.keyword, reason: cls.reason }
  core.noteMisroute(nodeIndex, catalog.database, what, isNew)
}

/** Is the replica's catalog older than the primary's, or may it be? */
export function isStale({ catalog, nodeIndex }: FailedRun): Promise<boolean> {
  return new Promise((resolve) => {
    catalog.age.ask(nodeIndex, (verdict) => resolve(verdict !== 'current'))
  })
}

/** A statement outside of transactions that went to the primary as a write. */
export function judgeWrite(failed: FailedRun): Judged {
  const { core, cls, nodeIndex, error } = failed
  const server = serverErrorOf(error)
  const reason = whyOf(error)
  // Our own word: the connection is as good as it was.
  if (error instanceof DoorError) return judged('no', 0, false, error)
  if (server === null && !isLost(error)) return judged('no', 0, true, error)
  if (server === null || isFatal(server)) {
    const isGoing = server !== null && /^57P0[123]$/.test(server.sqlstate)
    if (server === null || isGoing) {
      core.reportFailure(nodeIndex, isGoing ? 'shutdown' : 'reset', reason)
    }
    if (isRead(cls)) return judged('again', 0, true, lost(failed))
    return judged('no', 0, true, unknown(failed))
  }
  if (server.sqlstate === '25006' && !mayHaveCommitted(cls)) {
    // The supposed primary was demoted: it refused before anything was done.
    core.reportFailure(nodeIndex, 'read-only-primary', reason)
    return judged(core.snapshot.primary?.index === nodeIndex ? 'no' : 'again', 0, true, error)
  }
  return judged('no', 0, false, error)
}

/** 08006: the connection went, and with it what ran there, which had no effect. */
export function lost({ core, nodeIndex, error }: FailedRun): DoorError {
  return new DoorError(
    {
      sqlstate: '08006',
      message: `connection to node ${nameOf(core, nodeIndex)} was lost: ${whyOf(error)}`,
      hint: 'Nothing of an open transaction was kept; run it again.',
    },
    error,
  )
}

/** 08007: it may have been committed. */
export function unknown({ core, nodeIndex, error }: FailedRun): DoorError {
  return new DoorError(
    {
      sqlstate: '08007',
      message: `connection to node ${nameOf(core, nodeIndex)} was lost (${whyOf(error)}): transaction resolution unknown`,
      hint: 'Read back whether the statement took effect before you run it again.',
    },
    error,
  )
}

function nameOf(core: ClusterCore, nodeIndex: number): string {
  return core.members.at(nodeIndex)?.node.name ?? `number ${nodeIndex}`
}

function judged(
  verdict: Judged['verdict'],
  exclude: number,
  isNodeTrouble: boolean,
  error: unknown,
): Judged {
  return { verdict, exclude, isNodeTrouble, error, reason: whyOf(error) }
}
