import { PgSplitError } from '../errors.ts'

/** One command that does something, as the client wrote it. */
export type AdminAction =
  | { readonly kind: 'pause' | 'resume'; readonly cluster: string | null }
  | { readonly kind: 'drain' | 'undrain' | 'unban'; readonly node: string }
  | { readonly kind: 'ban'; readonly node: string; readonly duration: string | null }
  | { readonly kind: 'reload' }
  | { readonly kind: 'shutdown'; readonly mode: 'wait' | 'now' }
  | { readonly kind: 'kill'; readonly client: number }

/** How each is written, and what it does: for SHOW HELP and for errors. */
export const actionHelp: readonly (readonly [syntax: string, help: string])[] = [
  ['PAUSE [cluster]', 'hold back what would begin; answers when nothing runs any more'],
  ['RESUME [cluster]', 'let it go on'],
  ['DRAIN node', 'send nothing new to a node; what runs there may end'],
  ['UNDRAIN node', 'use it again'],
  ['BAN node [FOR duration]', 'send nothing to a node, whatever its probes say'],
  ['UNBAN node', 'use it again after its next good probe'],
  ['RELOAD', 'read the configuration again, as SIGHUP does'],
  ['KILL client', 'disconnect a client, by its id in SHOW CLIENTS'],
  ['SHUTDOWN [WAIT|NOW]', 'stop when requests in flight have ended (as SIGTERM), or at once'],
]

/**
 * Understands the tokens of one statement (`splitAdminText`); null: it is no such command.
 *
 * @throws PgSplitError 42601 when the command is written wrong
 */
export function parseAction(tokens: readonly string[]): AdminAction | null {
  const [keyword, ...rest] = tokens
  switch (keyword) {
    case 'pause':
    case 'resume':
      return { kind: keyword, cluster: rest.length === 0 ? null : nameOf(rest, keyword) }
    case 'drain':
    case 'undrain':
    case 'unban':
      return { kind: keyword, node: nameOf(rest, keyword) }
    case 'ban':
      return ban(rest)
    case 'reload':
      if (rest.length > 0) throw wrong(keyword)
      return { kind: keyword }
    case 'shutdown':
      return { kind: keyword, mode: modeOf(rest) }
    case 'kill':
    case 'kill_client': {
      // `cl12` is its `ptr`.
      const number = /^(?:cl)?(\d{1,15})$/.exec(nameOf(rest, 'kill'))?.[1]
      if (number === undefined) throw wrong('kill')
      return { kind: 'kill', client: Number(number) }
    }
    default:
      return null
  }
}

function ban(tokens: readonly string[]): AdminAction {
  const at = tokens.indexOf('for')
  if (at < 0) return { kind: 'ban', node: nameOf(tokens, 'ban'), duration: null }
  return {
    kind: 'ban',
    node: nameOf(tokens.slice(0, at), 'ban'),
    duration: nameOf(tokens.slice(at + 1), 'ban'),
  }
}

function modeOf(tokens: readonly string[]): 'wait' | 'now' {
  const [mode = 'wait', ...more] = tokens
  if (more.length > 0 || (mode !== 'wait' && mode !== 'now')) throw wrong('shutdown')
  return mode
}

/** A name may be quoted; one that is not may have any characters but blanks: `db-1:5432`. */
function nameOf(tokens: readonly string[], keyword: string): string {
  const [first, ...more] = tokens
  if (first === undefined || tokens.includes(',')) throw wrong(keyword)
  if (!/^['"]/.test(first)) return tokens.join('')
  if (more.length > 0 || first.length < 3) throw wrong(keyword)
  return first.slice(1, -1)
}

function wrong(keyword: string): PgSplitError {
  const syntax = actionHelp.find(([text]) => text.startsWith(keyword.toUpperCase()))?.[0]
  return new PgSplitError({
    sqlstate: '42601',
    message: `${keyword.toUpperCase()} is not written like that`,
    hint: `Write ${syntax}; SHOW HELP lists the commands of the admin database.`,
  })
}
