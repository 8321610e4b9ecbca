import { PgSplitError } from '../errors.ts'
import type { AdminSource } from './admin-source.ts'
import { selectProbe, sessionCommand, showSetting } from './driver-probes.ts'
import type { AdminResult } from './result.ts'
import { showCommands } from './show-commands.ts'

/** PgBouncer's commands that people try here, and where the same thing is in pgsplit. */
const elsewhere: ReadonlyMap<string, string> = new Map([
  ['reload', 'restart pgsplit to read its configuration again'],
  ['shutdown', 'send SIGTERM to pgsplit: it drains and ends'],
  ['pause', 'send SIGTERM to pgsplit: it drains and ends'],
  ['resume', 'pgsplit is never paused'],
  ['reconnect', 'server connections are renewed by their lifetime'],
])

const sqlKeywords: ReadonlySet<string> = new Set(
  'select with values table insert update delete merge create alter drop copy explain grant revoke'
    .concat(' truncate vacuum analyze call do prepare execute declare fetch listen notify lock')
    .split(' '),
)

const help = 'SHOW HELP lists the commands of the admin database'

/**
 * Finds what one admin statement (`splitAdminText` gives its tokens) answers. Its rows are not
 * collected yet.
 *
 * @throws PgSplitError 42601 for an unknown command, 0A000 for SQL and for what is not offered
 */
export function planAdminCommand(tokens: readonly string[], source: AdminSource): AdminResult {
  const text = tokens.join(' ')
  const keyword = tokens[0] ?? ''
  if (keyword === 'show') return planShow(text.slice('show '.length), source)

  const answer = sessionCommand(tokens) ?? selectProbe(text, source)
  if (answer !== null) return answer

  const instead = elsewhere.get(keyword)
  if (instead !== undefined) {
    throw notOffered(
      `${keyword.toUpperCase()} is not a command of pgsplit's admin database`,
      instead,
    )
  }
  if (sqlKeywords.has(keyword)) {
    throw notOffered(
      "the admin database of pgsplit runs no SQL, and psql's \\d commands are SQL",
      help,
    )
  }
  throw new PgSplitError({
    sqlstate: '42601',
    message: `unknown admin command ${quoted(text)}`,
    hint: help,
  })
}

function planShow(name: string, source: AdminSource): AdminResult {
  const command = showCommands.get(name)
  if (command !== undefined) return command.run(source)
  const setting = showSetting(name)
  if (setting !== null) return setting
  if (name === 'fds') {
    throw notOffered('SHOW FDS is not offered: pgsplit hands no sockets to another process', help)
  }
  throw new PgSplitError({
    sqlstate: '42601',
    message: name === '' ? 'SHOW needs a name' : `the admin database cannot SHOW ${quoted(name)}`,
    hint: help,
  })
}

function notOffered(message: string, hint: string): PgSplitError {
  return new PgSplitError({ sqlstate: '0A000', message, hint })
}

/** The client's own words, cut so that an error stays one line. */
function quoted(text: string): string {
  return `"${text.length > 60 ? `${text.slice(0, 60)}…` : text}"`
}
