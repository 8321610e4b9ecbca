/** Calls that leave something in the session, wherever they stand in a statement. */
import type { CatalogSets } from './catalog-sets.ts'
import type { QueryWalk } from './query-walk.ts'
import {
  ADVISORY_LOCK_FUNCTIONS,
  ADVISORY_UNLOCK_FUNCTIONS,
  SESSION_FUNCTIONS,
} from './session-functions.ts'
import { readSetConfig } from './set-config.ts'
import type { Effect } from './statement-class.ts'
import { T_OPEN, type TokenList } from './tokens.ts'

/**
 * Adds the effects of calling `name` at token `i`. True when the call is settled by that, so that
 * nothing else has to be looked up.
 */
export function judgeSessionCall(
  walk: QueryWalk,
  catalog: CatalogSets | null,
  i: number,
  name: string,
): boolean {
  if (name === 'set_config') return setConfig(walk, i)
  if (ADVISORY_UNLOCK_FUNCTIONS.has(name)) {
    add(walk, { kind: 'advisory-unlock', all: name === 'pg_advisory_unlock_all' })
    walk.refusal ??= `calls ${name}()`
    return true
  }
  const builtIn = SESSION_FUNCTIONS.get(name)
  if (builtIn !== undefined) {
    if (ADVISORY_LOCK_FUNCTIONS.has(name)) add(walk, { kind: 'advisory-lock' })
    walk.pin ??= builtIn
    return true
  }
  if (catalog === null) return false
  if (catalog.ddlFunctions.has(name)) add(walk, { kind: 'ddl' })
  const user = catalog.sessionFunctions.get(name)
  if (user === undefined) return false
  walk.pin ??= `calls ${name}(), which ${user}`
  return true
}

function add(walk: QueryWalk, effect: Effect): void {
  if (!walk.effects.some((known) => known.kind === effect.kind)) walk.effects.push(effect)
}

function setConfig(walk: QueryWalk, i: number): boolean {
  const call = readSetConfig(walk.tokens, i + 1, runsOnce(walk.tokens, walk.from, walk.to))
  if ('pin' in call) walk.pin ??= call.pin
  else walk.effects.push(call.effect)
  return true
}

/** Words that make an expression of the select list run never or several times. */
const NOT_ONCE: ReadonlySet<string> = new Set(
  [
    'all and any array between case coalesce cross distinct except exists fetch filter from full',
    'greatest group having in inner intersect into join lateral least left like limit natural not',
    'nullif offset on or order outer over right select some table union values where window with',
  ]
    .join(' ')
    .split(' '),
)

/** Calls that may stand beside set_config: none of them returns a set, which could be empty. */
const ONE_ROW_CALLS: ReadonlySet<string> = new Set([
  'current_database',
  'current_schema',
  'current_schemas',
  'current_setting',
  'now',
  'pg_backend_pid',
  'pg_is_in_recovery',
  'set_config',
  'version',
])

/** Whether the statement is a bare SELECT list, whose calls run exactly once. */
function runsOnce(tokens: TokenList, from: number, to: number): boolean {
  if (tokens.keyword(from) !== 'select') return false
  for (let i = from + 1; i < to; i++) {
    if (NOT_ONCE.has(tokens.keyword(i))) return false
    const isCall = tokens.kind(i) === T_OPEN && tokens.word(i - 1) !== ''
    if (isCall && !ONE_ROW_CALLS.has(tokens.word(i - 1))) return false
  }
  return true
}
