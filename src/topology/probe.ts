import { type Lsn, parseLsn } from './lsn.ts'

/** What one answered probe says about a node. */
export interface Observation {
  /** Monotonic ms when the question left and when the answer was there. */
  readonly sentAtMs: number
  readonly atMs: number
  readonly role: 'primary' | 'replica'
  /** Primary only. The insert position: with `synchronous_commit = off` a commit may lie beyond
   * the written one. */
  readonly insertLsn: Lsn | null
  /**
   * Primary only: what lag is measured by. A standby is sent nothing beyond it, and records that no
   * commit waits for (hint bits, pruning by a SELECT) may stay unflushed for 15 s and more.
   */
  readonly flushLsn: Lsn | null
  readonly replayLsn: Lsn | null
  readonly receiveLsn: Lsn | null
  readonly timeline: number | null
  /** false: read from the control file, which may name the timeline before the current one. */
  readonly timelineExact: boolean
  readonly systemIdentifier: string | null
  /** null = a primary, or the monitor's role may not see the WAL receiver. */
  readonly streaming: boolean | null
  readonly replayPaused: boolean
  readonly serverVersion: number
  /** Primary only: commits wait for standbys, which may show them before it does. */
  readonly waitsForStandbys: boolean
  /** Changes when the server has read its configuration anew; the server's own time, as text. */
  readonly configuredAt: string
}

/** One row of text values, as a probe connection returns it. */
export type ProbeRow = readonly (string | null)[]

export type ProbeLevel = 'full' | 'basic'

/**
 * The question, in one round trip, for PostgreSQL 13 to 18. `full` needs no more than what PUBLIC
 * has by default; `pg_monitor` adds the details of the WAL receiver. `basic` leaves the control
 * file out, for servers that took EXECUTE on it from PUBLIC.
 *
 * pg_current_wal_insert_lsn() fails on a standby, so CASE must guard it and recovery be asked once.
 */
export function probeSql(level: ProbeLevel): string {
  const control =
    level === 'full'
      ? `(SELECT timeline_id::text FROM pg_catalog.pg_control_checkpoint()),
  (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),`
      : 'NULL, NULL,'
  return `WITH r AS MATERIALIZED (SELECT pg_catalog.pg_is_in_recovery() AS standby),
p AS MATERIALIZED (SELECT r.standby, CASE WHEN r.standby THEN NULL
  ELSE pg_catalog.pg_current_wal_insert_lsn() END AS lsn FROM r)
SELECT p.standby::text, p.lsn::text,
  CASE WHEN p.standby THEN pg_catalog.pg_last_wal_replay_lsn() END::text,
  CASE WHEN p.standby THEN pg_catalog.pg_last_wal_receive_lsn() END::text,
  CASE WHEN p.standby THEN NULL ELSE pg_catalog.pg_walfile_name(p.lsn) END,
  CASE WHEN p.standby THEN NULL ELSE pg_catalog.pg_current_wal_flush_lsn() END::text,
  CASE WHEN p.standby THEN pg_catalog.pg_is_wal_replay_paused() END::text,
  ${control}
  w.pid::text, w.status, w.received_tli::text,
  pg_catalog.current_setting('server_version_num'),
  pg_catalog.pg_conf_load_time()::text || ' ' || pg_catalog.pg_postmaster_start_time()::text,
  (pg_catalog.current_setting('synchronous_standby_names') <> '')::text
FROM p LEFT JOIN pg_catalog.pg_stat_wal_receiver w ON true`
}

const COLUMNS = 15

/**
 * Reads the answer. Throws an Error that names the column when the server says something that is
 * no PostgreSQL answer to the question.
 */
export function parseObservation(row: ProbeRow, sentAtMs: number, atMs: number): Observation {
  if (row.length !== COLUMNS) {
    throw new Error(`a probe was answered with ${row.length} columns instead of ${COLUMNS}`)
  }
  const standby = row[0]
  if (standby !== 'true' && standby !== 'false') throw unexpected('pg_is_in_recovery', standby)
  const serverVersion = readNumber(row[12], 'server_version_num') ?? 0
  const systemIdentifier = row[8] ?? null
  if (systemIdentifier !== null && !/^\d{1,20}$/.test(systemIdentifier)) {
    throw unexpected('system_identifier', systemIdentifier)
  }
  const configuredAt = row[13] ?? ''
  const common = { sentAtMs, atMs, systemIdentifier, serverVersion, configuredAt }
  if (standby === 'false') {
    const insertLsn = readLsn(row[1], 'pg_current_wal_insert_lsn')
    if (insertLsn === null) throw unexpected('pg_current_wal_insert_lsn', null)
    return {
      ...common,
      role: 'primary',
      insertLsn,
      flushLsn: readLsn(row[5], 'pg_current_wal_flush_lsn'),
      replayLsn: null,
      receiveLsn: null,
      timeline: readWalFileTimeline(row[4]),
      timelineExact: true,
      streaming: null,
      replayPaused: false,
      waitsForStandbys: row[14] === 'true',
    }
  }
  const receivedTimeline = readNumber(row[11], 'received_tli')
  const controlTimeline = readNumber(row[7], 'timeline_id')
  const hasReceiver = (row[9] ?? null) !== null
  const status = row[10] ?? null
  return {
    ...common,
    role: 'replica',
    insertLsn: null,
    flushLsn: null,
    replayLsn: readLsn(row[2], 'pg_last_wal_replay_lsn'),
    receiveLsn: readLsn(row[3], 'pg_last_wal_receive_lsn'),
    timeline: receivedTimeline ?? controlTimeline,
    timelineExact: receivedTimeline !== null,
    // Without pg_read_all_stats the view shows the pid and hides the rest.
    streaming: hasReceiver ? (status === null ? null : status === 'streaming') : false,
    replayPaused: row[6] === 'true',
    waitsForStandbys: false,
  }
}

function readLsn(text: string | null | undefined, column: string): Lsn | null {
  if (text === null || text === undefined) return null
  const lsn = parseLsn(text)
  if (lsn === null) throw unexpected(column, text)
  return lsn
}

function readNumber(text: string | null | undefined, column: string): number | null {
  if (text === null || text === undefined) return null
  if (!/^\d{1,10}$/.test(text)) throw unexpected(column, text)
  return Number(text)
}

/** The first eight hexadecimal digits of a WAL file's name are its timeline. */
function readWalFileTimeline(text: string | null | undefined): number {
  if (typeof text !== 'string' || !/^[0-9A-F]{24}$/.test(text)) {
    throw unexpected('pg_walfile_name', text)
  }
  return Number.parseInt(text.slice(0, 8), 16)
}

function unexpected(column: string, value: string | null | undefined): Error {
  return new Error(`a probe was answered with ${column} = ${String(value).slice(0, 40)}`)
}
