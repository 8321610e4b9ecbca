/** Settings of `postgresql.conf` by name; values as PostgreSQL writes them, without quotes. */
export type ServerSettings = Readonly<Record<string, string>>

/**
 * What a throw-away cluster for demonstrations and tests needs. Not durable on purpose: it does
 * not outlive its process, so it need not survive a power cut either.
 */
export const QUICK_SETTINGS: ServerSettings = {
  listen_addresses: '127.0.0.1',
  fsync: 'off',
  hot_standby: 'on',
  wal_level: 'logical',
  max_connections: '200',
  max_prepared_transactions: '20',
  max_wal_senders: '20',
  max_replication_slots: '20',
  shared_buffers: '64MB',
  // a replica that is started before its slot exists, or whose primary restarts, tries again soon
  wal_retrieve_retry_interval: '200ms',
  // segments of parallel queries as files in the data directory, where a kill leaves nothing
  dynamic_shared_memory_type: 'mmap',
  logging_collector: 'off',
}

/** Only password logins over TCP. Replication and our own steering use the Unix socket. */
const DEFAULT_HBA: readonly string[] = [
  'host all all 127.0.0.1/32 scram-sha-256',
  'host replication all 127.0.0.1/32 scram-sha-256',
]

const SOCKET_HBA: readonly string[] = [
  'local all all scram-sha-256',
  'local replication all scram-sha-256',
]

/** The text of `pg_hba.conf`. `hba` stands for all TCP lines. */
export function hbaText(hba: readonly string[] = DEFAULT_HBA): string {
  return [...SOCKET_HBA, ...hba, ''].join('\n')
}

/** The text of a `postgresql.conf`; a backslash is an escape in its strings too. */
export function settingsText(settings: ServerSettings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${quoted(value)}\n`)
    .join('')
}

/** A `primary_conninfo`; values quoted as libpq's "Keyword/Value Connection Strings" want it. */
export function conninfo(parameters: Readonly<Record<string, string | number>>): string {
  return Object.entries(parameters)
    .map(([key, value]) => `${key}='${String(value).replace(/[\\']/g, '\\$&')}'`)
    .join(' ')
}

function quoted(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
