import { PgSplitError } from '../errors.ts'
import { mostReads } from '../pool/claim.ts'
import type { NodePool } from '../pool/node-pool.ts'
import type { PoolOptions } from '../pool/pooled.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { whoHolds } from './who-holds.ts'

/** Where a request has waited in vain. */
export interface FullPlace {
  readonly pool: NodePool<ServerConnection>
  readonly node: string
  readonly isReplica: boolean
  /** Connections that other users or databases have of the node's `maxConnections`. */
  readonly others: number
}

/** 53300 for a request that found no connection in time, with who has them in its DETAIL. */
export function noFreeConnection(
  places: readonly FullPlace[],
  { size, keptShare }: Pick<PoolOptions, 'size' | 'keptShare'>,
  waitedMs: number,
  nowMs: number,
): PgSplitError {
  let inUse = 0
  let waiting = 0
  for (const { pool } of places) {
    const counts = pool.counts()
    inUse += counts.leased + counts.shared
    waiting = Math.max(waiting, counts.waiting)
  }
  const names = places.map(({ node }) => node).join(', ')
  const where = places.length === 1 ? `node ${names}` : `any of the nodes ${names}`
  return new PgSplitError({
    sqlstate: '53300',
    message: `no free server connection to ${where} within ${Math.round(waitedMs)} ms (${inUse} in use, ${waiting} waiting)`,
    detail: places.map((place) => describe(place, size, keptShare, nowMs)).join('; '),
    hint: "End what holds them, or raise pool.size, the node's maxConnections, or pool.checkoutTimeout.",
  })
}

function describe(
  { pool, node, isReplica, others }: FullPlace,
  size: number,
  keptShare: number,
  nowMs: number,
): string {
  const { leased, shared, reads, holds, connecting } = pool.counts()
  const who = whoHolds(pool, nowMs)
  const parts = [`${leased + shared} of ${size} in use${who === '' ? '' : `: ${who}`}`]
  if (connecting > 0) parts.push(`${connecting} being opened`)
  if (others > 0) parts.push(`${others} of the node's maxConnections with others`)
  const isKept = leased + shared < size && (reads > 0 || holds > 0)
  if (isKept && !isReplica && reads >= mostReads(size, holds, keptShare)) {
    parts.push('the rest is kept for writes and transactions (pool.reserve)')
  } else if (isKept && holds > 0) {
    parts.push('the rest is kept for clients that are not pinned (pool.reserve)')
  }
  return `${node}: ${parts.join(', ')}`
}
