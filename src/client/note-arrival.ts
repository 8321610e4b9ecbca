import { consistencyOf } from '../routing/requirement.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/**
 * A request has come in that may read on a replica: at the levels that promise what others have
 * written, this is the moment that counts. Called once for each request, before it is routed.
 */
export function noteArrival({ cluster, facts }: ClientSession, request: Request): void {
  const { verdict } = request.cls
  if (verdict === 'primary' || verdict === 'pin') return
  cluster.positions.begin(facts, consistencyOf(request.cls, facts))
}
