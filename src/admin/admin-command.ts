import { PgSplitError } from '../errors.ts'
import type { AdminActions } from './admin-actions.ts'
import type { AdminSource } from './admin-source.ts'
import { selectProbe, sessionCommand, showSetting } from './driver-probes.ts'
import { type AdminAction, parseAction } from './parse-action.ts'
import { type AdminResult, tagOnly } from './result.ts'
import { showCommands } from './show-commands.ts'

/** PgBouncer's commands that people try here, and where the same thing is in pgsplit. */
const elsewhere: ReadonlyMap<string, string> = new Map([
  ['reconnect', 'server connections are renewed by their lifetime, and by PAUSE and RESUME'],
  ['suspend', 'PAUSE holds requests back'],
  ['disable', 'BAN or DRAIN takes a node out, PAUSE holds requests back'],
  ['enable', 'UNBAN and UNDRAIN bring a node back'],
  ['wait_close', 'PAUSE answers when nothing runs any more'],
])

const sqlKeywords: ReadonlySet<string> = new Set(
  'select with values table insert update delete merge create alter drop copy explain grant revoke'
    .concat(' truncate vacuum analyze call do prepare execute declare fetch listen notify lock')
    .split(' '),
)

const help = 'SHOW HELP lists the commands of the admin database'

/**
 * Finds what one admin statement (`splitAdminText` gives its tokens) answers. Its rows are not
 * collected yet, and nothing is done yet. Without `actions` there is only something to look at.
 *
 * @throws PgSplitError 42601 for an unknown command, 0A000 for SQL and for what is not offered
 */
export function planAdminCommand(
  tokens: readonly string[],
  source: AdminSource,
  actions: AdminActions | null,
): AdminResult {
  const text = tokens.join(' ')
  const keyword = tokens[0] ?? ''
  if (keyword === 'show') return planShow(text.slice('show '.length), source)

  const answer = sessionCommand(tokens) ?? selectProbe(text, source)
  if (answer !== null) return answer

  const action = parseAction(tokens)
  if (action !== null) {
    if (actions === null) {
      throw new PgSplitError({
        sqlstate: '42501',
        message: `${keyword.toUpperCase()} is for operators, and this user may only look`,
        hint: 'List the user under admin.users instead of admin.readers.',
      })
    }
    return planAction(action, actions)
  }
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

function planAction(action: AdminAction, actions: AdminActions): AdminResult {
  const act = async (signal: AbortSignal): Promise<readonly string[]> => {
    switch (action.kind) {
      case 'pause':
        await actions.pause(action.cluster, signal)
        return []
      case 'resume':
        actions.resume(action.cluster)
        return []
      case 'drain':
      case 'undrain':
      case 'unban':
        actions[action.kind](action.node)
        return []
      case 'ban':
        actions.ban(action.node, action.duration)
        return []
      case 'reload':
        return actions.reload()
      case 'shutdown':
        actions.shutdown(action.mode)
        return []
      case 'kill':
        actions.kill(action.client)
        return []
      default:
        return action satisfies never
    }
  }
  return { ...tagOnly(action.kind.toUpperCase()), act }
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
