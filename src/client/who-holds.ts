import type { NodePool } from '../pool/node-pool.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { txStatus } from '../wire/message-types.ts'
import { ClientSession } from './session.ts'

/** Connections that are in use for the same reason. */
interface Group {
  count: number
  longestMs: number
}

/**
 * Who has the connections of a pool: how many of them for which reason, the most first, and for how
 * long the longest. One clause per reason; no names of other clients' objects.
 */
export function whoHolds(pool: NodePool<ServerConnection>, nowMs: number): string {
  const groups = new Map<string, Group>()
  for (const connection of pool.connections) {
    const { why, sinceMs } = useOf(pool, connection)
    if (why === null) continue
    const group = groups.get(why) ?? { count: 0, longestMs: 0 }
    group.count++
    group.longestMs = Math.max(group.longestMs, nowMs - sinceMs)
    groups.set(why, group)
  }
  return [...groups]
    .sort(([, a], [, b]) => b.count - a.count)
    .map(([why, { count, longestMs }]) => `${count} ${why} (up to ${seconds(longestMs)})`)
    .join(', ')
}

function useOf(
  pool: NodePool<ServerConnection>,
  connection: ServerConnection,
): { readonly why: string | null; readonly sinceMs: number } {
  const { holder, createdAtMs, status } = connection
  const sinceMs = connection.headSinceMs ?? createdAtMs
  if (!pool.isLeased(connection)) {
    return { why: connection.depth === 0 ? null : 'running for clients that share', sinceMs }
  }
  const session = holder instanceof ClientSession ? holder : null
  if (session === null) return { why: 'being prepared or cleaned', sinceMs }
  if (connection.depth > 0) {
    const { isReaderSlow } = connection
    return { why: isReaderSlow ? 'sending to clients that read slowly' : 'running', sinceMs }
  }
  if (status !== txStatus.idle) {
    const isReadOnly = session.transaction?.begin?.modes.readOnly === true
    return { why: `idle in ${isReadOnly ? 'READ ONLY ' : ''}transaction`, sinceMs }
  }
  const { pinKind } = session
  if (pinKind !== null) return { why: `pinned by ${pinKind}`, sinceMs }
  const isKept = session.held.isKept(connection)
  return { why: isKept ? 'kept by clients in pool mode session' : 'about to be used', sinceMs }
}

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.max(0, Math.round(ms))} ms` : `${Math.round(ms / 1000)} s`
}
