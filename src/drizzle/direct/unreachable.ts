import type { ClusterCore } from '../../core/cluster-core.ts'
import { probeFailure } from '../../topology/probe-failure.ts'
import { type DoorError, loginRefused } from '../door-error.ts'
import { sqlstateOf, whyOf } from './server-error.ts'

/**
 * Every node that is not up refuses the log-in: nobody's restart or promotion would help. null: one
 * of them may come back.
 */
export function refusedByAll(core: ClusterCore): DoorError | null {
  const out = core.snapshot.nodes.filter(({ health }) => health !== 'up')
  const errors = out.map(({ index }) => core.probeError(index))
  const isLogin = errors.every((error) => error !== undefined && isRefusal(error))
  const [first] = out
  if (first === undefined || !isLogin) return null
  const [error] = errors
  return loginRefused(first.id, sqlstateOf(error), whyOf(error), error)
}

function isRefusal(error: unknown): boolean {
  return probeFailure(error).kind === 'login' && sqlstateOf(error) !== ''
}

/** What the first node says that can't be reached; undefined: all can. */
export function firstTrouble(core: ClusterCore): unknown {
  for (const { index } of core.snapshot.nodes) {
    const error = core.probeError(index)
    if (error !== undefined) return error
  }
  return undefined
}
