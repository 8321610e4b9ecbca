import { EmbeddedError } from './embedded-error.ts'
import { waitUntil } from './wait-until.ts'

const STEERING_TIMEOUT_MS = 30_000

/** A server that takes SQL from its superuser, wherever it runs. */
export interface SteeredServer {
  readonly name: string
  /** Runs one statement in the database `postgres`. */
  query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>
}

/** Makes a replica a primary and resolves when it accepts writes. */
export async function promote(
  server: SteeredServer & { logTail(lines: number): Promise<string> },
): Promise<void> {
  const [row] = await server.query('SELECT pg_promote(true, 30) AS promoted')
  if (row?.promoted === true) return
  const log = (await server.logTail(4)).split('\n').join('; ')
  throw new EmbeddedError(`server ${server.name} was not promoted within 30 s: ${log}`)
}

/** Stops the replay of WAL on a replica (it is still received) and resolves when it stands. */
export async function pauseReplay(server: SteeredServer): Promise<void> {
  await server.query('SELECT pg_wal_replay_pause()')
  await waitUntil(
    `replay on ${server.name} to pause`,
    async () => {
      const [row] = await server.query('SELECT pg_get_wal_replay_pause_state() AS state')
      return row?.state === 'paused'
    },
    STEERING_TIMEOUT_MS,
  )
}

export async function resumeReplay(server: SteeredServer): Promise<void> {
  await server.query('SELECT pg_wal_replay_resume()')
}

/** Resolves when a replica that was told to leave its primary has no connection to it. */
export async function hasLeft(server: SteeredServer): Promise<void> {
  await waitUntil(
    `${server.name} to lose its primary`,
    async () => (await server.query('SELECT 1 FROM pg_stat_wal_receiver')).length === 0,
    STEERING_TIMEOUT_MS,
  )
}

/**
 * Has the replica received more than the promoted server had? Then its history is another one, and it
 * can't follow (high-availability, "Failover"): it needs a new copy.
 */
export async function isAhead(promoted: SteeredServer, replica: SteeredServer): Promise<boolean> {
  const [end] = await promoted.query('SELECT pg_last_wal_replay_lsn()::text AS lsn')
  const [row] = await replica.query('SELECT pg_last_wal_receive_lsn() > $1::pg_lsn AS is_ahead', [
    end?.lsn,
  ])
  return row?.is_ahead === true
}

/** Makes the physical replication slot that the replica `name` uses, if there is none. */
export async function createSlot(primary: SteeredServer, name: string): Promise<void> {
  await primary.query(
    `SELECT pg_create_physical_replication_slot($1, true)
     WHERE NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = $1)`,
    [name],
  )
}

/** Resolves when each replica streams and has replayed what the primary has written until now. */
export async function haveCaughtUp(
  primary: SteeredServer,
  replicas: readonly SteeredServer[],
  timeoutMs: number,
): Promise<void> {
  const [row] = await primary.query('SELECT pg_current_wal_lsn()::text AS lsn')
  await Promise.all(replicas.map((replica) => hasReplayed(replica, row?.lsn, timeoutMs)))
}

async function hasReplayed(server: SteeredServer, lsn: unknown, timeoutMs: number): Promise<void> {
  await waitUntil(
    `${server.name} to replay ${lsn}`,
    async () => {
      const [row] = await server.query(
        'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = $2) AS done',
        [lsn, 'streaming'],
      )
      return row?.done === true
    },
    timeoutMs,
  )
}
