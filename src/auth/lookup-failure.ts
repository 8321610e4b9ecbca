/**
 * Why nobody can say who somebody is. The client, who has proved nothing yet, is told which kind it
 * is and no more; the log has the server's words, where it was asked, and the way out.
 */
import { PgSplitError } from '../errors.ts'
import type { NoSource, PasswordLookup } from './lookup-source.ts'
import { lookupFunction } from './role-sql.ts'

/** No node is up that could be asked. */
export class NoNodeUp extends Error {
  constructor() {
    super('no node of the cluster is up')
  }
}

/** The node that was asked has said nothing for so long. */
export class LookupTimeout extends Error {
  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms`)
  }
}

/** Whom pgsplit asks, as whom, for the log. */
export interface LookupPlace {
  /** Name and address of the node; null: none was dialled. */
  readonly node: string | null
  readonly user: string
  readonly database: string
}

/** What a client is told when its role can't be looked up at all, by what went wrong. */
export function lookupFailure(error: unknown, place: LookupPlace): PgSplitError {
  const { words, isPassing, way, sqlstate } = kindOf(error)
  const fact = error instanceof Error ? error.message : String(error)
  const code = error instanceof PgSplitError ? ` (${error.sqlstate})` : ''
  const text = `${placeText(place)}: ${fact}${code}${way === '' ? '' : `; ${way}`}`
  return cannotLookUp(words, isPassing, new Error(text, { cause: error }), sqlstate)
}

interface Kind {
  readonly words: string
  /** It may be over in a moment. */
  readonly isPassing: boolean
  readonly way: string
  /** Default 57P03. */
  readonly sqlstate?: string
}

function kindOf(error: unknown): Kind {
  if (error instanceof NoNodeUp) {
    return {
      words: 'no node of the cluster is up',
      isPassing: true,
      way: 'the log has told why when each of them went down',
    }
  }
  if (error instanceof LookupTimeout) return { words: silent, isPassing: true, way: '' }
  const sqlstate = error instanceof PgSplitError ? error.sqlstate : ''
  if (sqlstate === '57014') return { words: silent, isPassing: true, way: '' }
  if (/^57P0/.test(sqlstate)) {
    return { words: 'the server is starting or stopping', isPassing: true, way: '' }
  }
  if (/^28/.test(sqlstate)) {
    return {
      words: "the server refuses pgsplit's own log-in",
      isPassing: false,
      way: "check the monitor's user and password, and the server's pg_hba.conf",
    }
  }
  if (/^53/.test(sqlstate)) {
    return {
      words: 'the server has no room for a connection of pgsplit',
      isPassing: true,
      way: "raise its max_connections, or the role's or database's CONNECTION LIMIT",
      // What the client would have heard of it itself.
      sqlstate: '53300',
    }
  }
  if (sqlstate === '3D000') {
    return {
      words: "the monitor's database does not exist",
      isPassing: false,
      way: 'name another one in the node URLs or in monitor.database',
    }
  }
  if (/^08/.test(sqlstate)) {
    return { words: 'the server can not be reached', isPassing: true, way: '' }
  }
  return { words: 'the question fails at the server', isPassing: false, way: '' }
}

const silent = 'the server did not answer in time'

/** How the monitor was to read passwords, and why it could not. */
export interface Unreadable {
  readonly lookup: PasswordLookup
  /** The server's refusal, or what `auto` found. */
  readonly why: PgSplitError | NoSource
}

/**
 * The server answers, and the monitor may not read passwords there. Its cause is for the log; so is
 * `mend`, what an administrator has to do.
 */
export function unreadableFailure(
  { lookup, why }: Unreadable,
  place: LookupPlace,
): { readonly error: PgSplitError; readonly text: string } {
  const { words, text } =
    typeof why === 'string' ? noSource(why, place) : refused(lookup, why, place)
  return { error: cannotLookUp(words, false, new Error(text)), text }
}

interface Words {
  readonly words: string
  readonly text: string
}

const mayNot = 'the monitor may not read their passwords'
const setUp = 'run `pgsplit setup` as a superuser, or list users under auth.users'

function noSource(why: NoSource, { user, database }: LookupPlace): Words {
  const authid = `role ${user} can't read pg_authid`
  const where = `in database ${database}`
  switch (why) {
    case 'no-function':
      return {
        words: mayNot,
        text: `${authid}, and there is no function ${lookupFunction}(text) ${where}; ${setUp}`,
      }
    case 'untrusted':
      return {
        words: mayNot,
        text: `${authid}, and ${lookupFunction}(text) ${where} is not used: it is no superuser's, or not SECURITY DEFINER; ${setUp}`,
      }
    case 'not-granted':
      return {
        words: mayNot,
        text: `${authid}, and may not execute ${lookupFunction}(text) ${where}; GRANT USAGE on the schema and EXECUTE on the function to it, as \`pgsplit setup\` prints it`,
      }
    default:
      why satisfies never
      return { words: mayNot, text: authid }
  }
}

function refused(lookup: PasswordLookup, why: PgSplitError, place: LookupPlace): Words {
  const { user, database } = place
  const said = `${why.message} (${why.sqlstate})`
  if (lookup.kind !== 'function') {
    return {
      words: mayNot,
      text: `role ${user} can't read pg_authid: ${said}; run \`pgsplit setup\` as a superuser and set auth.lookup to auto, or list users under auth.users`,
    }
  }
  const { name } = lookup
  if (/^(42883|3F000)$/.test(why.sqlstate)) {
    return {
      words: 'the look-up function does not exist',
      text: `there is no function ${name}(text) in database ${database}: ${said}; create it there (\`pgsplit setup\` makes ${lookupFunction})`,
    }
  }
  if (why.sqlstate === '42501') {
    return {
      words: 'the look-up function may not be used, or may not read passwords itself',
      text: `${name}(text) in database ${database} fails for role ${user}: ${said}; the role needs USAGE on its schema and EXECUTE, and its owner must be a superuser`,
    }
  }
  return {
    words: 'the look-up function fails',
    text: `${name}(text) in database ${database} fails: ${said}; it must return password text, can_login boolean, is_expired boolean`,
  }
}

function placeText({ node, user, database }: LookupPlace): string {
  return `asked ${node ?? 'nobody'} as ${user} at database ${database}`
}

function cannotLookUp(
  words: string,
  isPassing: boolean,
  cause: Error,
  sqlstate = '57P03',
): PgSplitError {
  const hint = isPassing
    ? 'Try again; the log of pgsplit has the reason.'
    : 'This needs an administrator; the log of pgsplit has the reason and the way out.'
  const message = `cannot look up roles: ${words}`
  return new PgSplitError({ sqlstate, message, hint, severity: 'FATAL' }, cause)
}
