import type { AdminSource } from './admin-source.ts'
import { type AdminResult, type Column, tableOf, tagOnly } from './result.ts'

/**
 * What drivers ask of any server while they connect, ping or give a connection back. The answers
 * are constants: nothing here looks at, or changes, pgsplit.
 */

/** PostgreSQL version that the admin database claims, for drivers that parse it. */
export const claimedServerVersion = '16.0'

const settings: ReadonlyMap<string, string> = new Map([
  ['application_name', ''],
  ['client_encoding', 'UTF8'],
  ['datestyle', 'ISO, MDY'],
  ['default_transaction_read_only', 'off'],
  ['in_hot_standby', 'off'],
  ['integer_datetimes', 'on'],
  ['intervalstyle', 'postgres'],
  ['is_superuser', 'off'],
  ['max_identifier_length', '63'],
  ['search_path', '"$user", public'],
  ['server_encoding', 'UTF8'],
  ['server_version', claimedServerVersion],
  ['server_version_num', '160000'],
  ['standard_conforming_strings', 'on'],
  ['timezone', 'UTC'],
  ['transaction_isolation', 'read committed'],
  ['transaction_read_only', 'off'],
])

const spelledOut: ReadonlyMap<string, string> = new Map([
  ['time zone', 'timezone'],
  ['transaction isolation level', 'transaction_isolation'],
])

/** `SHOW server_version` and the like; null: not a setting. `name` is in lower case. */
export function showSetting(name: string): AdminResult | null {
  const setting = spelledOut.get(name) ?? name
  const value = settings.get(setting)
  return value === undefined ? null : oneValue({ name: setting, type: 'text' }, value, 'SHOW')
}

/** `SELECT 1`, `SELECT version()` …: `text` is the statement's tokens with one blank between. */
export function selectProbe(text: string, source: AdminSource): AdminResult | null {
  switch (text) {
    case 'select 1':
      return oneValue({ name: '?column?', type: 'int8' }, 1)
    case 'select version ( )': {
      const version = `PostgreSQL ${claimedServerVersion} (pgsplit ${source.version()} admin database)`
      return oneValue({ name: 'version', type: 'text' }, version)
    }
    case 'select current_database ( )':
      return oneValue({ name: 'current_database', type: 'text' }, 'pgsplit')
    case 'select current_schema ( )':
    case 'select current_schema':
      return oneValue({ name: 'current_schema', type: 'text' }, 'public')
    case 'select pg_is_in_recovery ( )':
      return oneValue({ name: 'pg_is_in_recovery', type: 'text' }, 'f')
    case 'select pg_advisory_unlock_all ( )':
      return oneValue({ name: 'pg_advisory_unlock_all', type: 'text' }, '')
    default:
      return null
  }
}

/** Session commands that have nothing to act on here: acknowledged by their tag. */
export function sessionCommand(tokens: readonly string[]): AdminResult | null {
  switch (tokens[0]) {
    case 'begin':
      return tagOnly('BEGIN', 'T')
    case 'start':
      return tokens[1] === 'transaction' ? tagOnly('START TRANSACTION', 'T') : null
    case 'commit':
    case 'end':
      return tagOnly('COMMIT', 'I')
    case 'rollback':
    case 'abort':
      return tagOnly('ROLLBACK', 'I')
    case 'set':
    case 'reset':
    case 'unlisten':
      return tagOnly(tokens[0].toUpperCase())
    case 'close':
      return tagOnly('CLOSE CURSOR')
    case 'discard':
    case 'deallocate':
      return tagOnly(`${tokens[0].toUpperCase()}${tokens.at(-1) === 'all' ? ' ALL' : ''}`)
    default:
      return null
  }
}

function oneValue(column: Column, value: string | number, tag = 'SELECT 1'): AdminResult {
  return tableOf([[column.name, column.type]], () => [{ [column.name]: value }], tag)
}
