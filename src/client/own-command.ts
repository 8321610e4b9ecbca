import { type LexMode, tokenize } from '../sql/lexer.ts'
import { splitStatements } from '../sql/split.ts'
import type { Effect, StatementClass, StatementPart } from '../sql/statement-class.ts'
import { T_CLOSE, T_OPEN, T_PARAM, type TokenList } from '../sql/tokens.ts'
import type { Edit } from './named-text.ts'
import { isOwnSetting, isShownSetting } from './own-settings.ts'

/** What pgsplit answers itself, in the place of a server. */
export type OwnCommand = Extract<
  Effect,
  { readonly kind: 'show' | 'set' | 'reset' | 'explain-route' | 'signal' }
>

/** What this statement asks pgsplit for, if it does that and nothing else; else null. */
export function ownCommand({ effects }: StatementPart): OwnCommand | null {
  const [effect] = effects
  if (effect === undefined || effects.length !== 1) return null
  switch (effect.kind) {
    case 'show':
      // Of any other the server says that there is none.
      return isShownSetting(effect.name) ? effect : null
    case 'reset':
      return isOwnSetting(effect.name) ? effect : null
    case 'set': {
      const isSet = !effect.local && !effect.opaque && effect.config === undefined
      return isSet && isOwnSetting(effect.name) ? effect : null
    }
    case 'explain-route':
      return effect
    case 'signal':
      return effect.call === undefined ? null : effect
    default:
      return null
  }
}

/** The same for a text of one statement. */
export function ownCommandOf({ effects, parts }: StatementClass): OwnCommand | null {
  const [part] = parts
  return effects.length !== 1 || part === undefined || parts.length !== 1 ? null : ownCommand(part)
}

/** Has any statement of the text to be answered by pgsplit? */
export function hasOwnCommand({ effects, parts }: StatementClass): boolean {
  return effects.length > 0 && parts.some((part) => ownCommand(part) !== null)
}

/** Does the request nothing but ask pgsplit? Then it leaves no trace in what it may ask about. */
export function onlyAsks(request: {
  readonly cls: StatementClass
  readonly executed: readonly StatementClass[]
}): boolean {
  const { cls, executed } = request
  if (cls.effects.length === 0 || cls.effects.some(({ kind }) => kind === 'signal')) return false
  return cls.parts.every((part) => ownCommand(part) !== null) && executed.every(asks)
}

function asks(cls: StatementClass): boolean {
  return ownCommandOf(cls) !== null
}

/** Shows one column of type text, and takes no snapshot. */
const shows = 'SHOW server_version'
/** A parameter that nobody has: to set it to its default changes nothing. */
const standInSetting = 'pgsplit.stand_in'
/** Is in whatever the server says to what was made to fail. */
export const refusedName = 'pgsplit_refused'
/** Fails when it runs. */
export const failsToSet: Buffer = Buffer.from(`SET work_mem TO ${refusedName}`)
const routeColumns = ['node', 'class', 'reason']
const explains = `SELECT ${routeColumns.map((name) => `''::pg_catalog.text AS ${name}`).join(', ')}`

/**
 * What the server gets in the place of an own command, so that all that a statement is to a server
 * (its name, portals, formats, row limits, its place among others, what a failed transaction says to
 * it) is the server's own doing. Only names and values of the answer are pgsplit's then.
 *
 * `text[start, end)` is the command's text.
 */
export function standIn(
  command: OwnCommand,
  text: Uint8Array,
  start: number,
  end: number,
  mode: LexMode,
): Buffer {
  switch (command.kind) {
    case 'show':
      return Buffer.from(shows)
    case 'set':
      return Buffer.from(`SET ${standInSetting} TO DEFAULT`)
    case 'reset':
      return Buffer.from(`RESET ${standInSetting}`)
    case 'explain-route':
      return explanation(text, start, end, mode)
    case 'signal':
      return withoutProcessId(text, start, end)
    default:
      return command satisfies never
  }
}

/** Parameters have to be described: then PostgreSQL itself explains the statement, in one row. */
function explanation(text: Uint8Array, start: number, end: number, mode: LexMode): Buffer {
  const tokens = tokenize(text, start, end, mode === 'escape')
  if (typeof tokens === 'string') return Buffer.from(explains)
  let hasParameters = false
  for (let i = 0; i < tokens.length; i++) if (tokens.kind(i) === T_PARAM) hasParameters = true
  const inner = behindOptions(tokens)
  if (!hasParameters || inner >= tokens.length) return Buffer.from(explains)
  const from = tokens.start(inner)
  return Buffer.concat([explainsInPlace, text.subarray(from, end)])
}

const explainsInPlace = Buffer.from('EXPLAIN (FORMAT json) ')

/** Is the Parse with this body a stand-in of one column for EXPLAIN (ROUTE), which has three? */
export function standsAsExplain(body: Buffer): boolean {
  return body.subarray(0, explainsInPlace.length).equals(explainsInPlace)
}

/** The first token behind `EXPLAIN (…)`. */
function behindOptions(tokens: TokenList): number {
  let depth = 0
  for (let i = 1; i < tokens.length; i++) {
    if (tokens.kind(i) === T_OPEN) depth++
    else if (tokens.kind(i) === T_CLOSE && --depth === 0) return i + 1
  }
  return tokens.length
}

/** The call, of NULL in place of a process id that no server has. */
function withoutProcessId(text: Uint8Array, start: number, end: number): Buffer {
  const call = Buffer.from(text.subarray(start, end)).toString('latin1')
  return Buffer.from(call.replace(/(\(\s*)\d+/, '$1NULL'), 'latin1')
}

/**
 * The stand-ins of all own commands in a text of several statements, by number; null: the text can't
 * be told apart. `refused`: statements that must fail.
 */
export function standInsOf(
  { parts }: StatementClass,
  text: Buffer,
  mode: LexMode,
  refused: ReadonlySet<number>,
): Edit[] | null {
  const ranges = splitStatements(text, 0, text.length, mode)
  if (ranges === null || ranges.length !== parts.length) return null
  const edits: Edit[] = []
  for (const [number, part] of parts.entries()) {
    const [from, to] = ranges[number] ?? [0, 0]
    if (refused.has(number)) edits.push({ from, to, bytes: failsToSet })
    else {
      const command = ownCommand(part)
      if (command === null) continue
      edits.push({ from, to, bytes: standIn(command, text, from, to, mode) })
    }
  }
  return edits
}
