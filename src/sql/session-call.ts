/** Calls that leave something in the session, wherever they stand in a statement. */
import { isDeepStrictEqual } from 'node:util'
import type { CatalogSets } from './catalog-sets.ts'
import type { QueryWalk } from './query-walk.ts'
import {
  ADVISORY_LOCK_FUNCTIONS,
  ADVISORY_UNLOCK_FUNCTIONS,
  DBLINK_FUNCTIONS,
  SEED_PIN,
  SESSION_FUNCTIONS,
  UNPROVED_FUNCTIONS,
} from './session-functions.ts'
import { addEffect } from './session-uses.ts'
import { readSetConfig } from './set-config.ts'
import type { Effect } from './statement-class.ts'
import { T_CLOSE, T_OPEN, type TokenList } from './tokens.ts'

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
  if (name === 'pg_prepared_statement') {
    walk.seesNames(name)
    return true
  }
  if (ADVISORY_UNLOCK_FUNCTIONS.has(name)) {
    const { tokens, from, to } = walk
    const all = name === 'pg_advisory_unlock_all' && runsOnce(tokens, from, to)
    add(walk, { kind: 'advisory-unlock', all })
    walk.refusal ??= `calls ${name}()`
    walk.readsNode = false
    return true
  }
  const builtIn = SESSION_FUNCTIONS.get(name)
  if (builtIn !== undefined) {
    const effect = callEffect(walk, i, name)
    if (effect === null) walk.pin ??= builtIn
    else add(walk, effect)
    return true
  }
  if (name === 'pg_cancel_backend' || name === 'pg_terminate_backend') add(walk, { kind: 'signal' })
  const unproved = UNPROVED_FUNCTIONS.get(name)
  if (unproved !== undefined) {
    addEffect(walk.effects, { kind: 'unproved', why: `calls ${name}()`, customs: unproved.customs })
  }
  if (name === 'pg_notify') add(walk, { kind: 'notify' })
  if (name === 'pg_listening_channels') add(walk, { kind: 'own-channels' })
  // Who only asks for it in a condition, as monitoring does, asks about others.
  if (name === 'pg_backend_pid' && isAskedFor(walk)) walk.pin ??= 'asked for pg_backend_pid()'
  if (catalog === null) return false
  if (catalog.ddlFunctions.has(name)) add(walk, { kind: 'ddl', touches: null })
  const effects = catalog.sessionEffects.get(name) ?? []
  const pin = catalog.sessionFunctions.get(name)
  if (effects.length === 0 && pin === undefined) return false
  for (const effect of effects) addEffect(walk.effects, effect)
  if (pin !== undefined) walk.pin ??= `calls ${name}(), which ${pin}`
  walk.refusal ??= `calls ${name}(), which may change its session`
  walk.readsNode = false
  return true
}

/** The effect of a built-in about which the server can be asked afterwards, or null. */
function callEffect(walk: QueryWalk, i: number, name: string): Effect | null {
  if (ADVISORY_LOCK_FUNCTIONS.has(name)) return { kind: 'advisory-lock' }
  if (name === 'currval' || name === 'lastval') return { kind: 'sequence-read', isOwn: false }
  if (!DBLINK_FUNCTIONS.has(name)) return null
  const hasArguments = walk.tokens.kind(i + 2) !== T_CLOSE
  return { kind: 'dblink', ends: name === 'dblink_disconnect', hasArguments }
}

/** Is it a query for the sake of its select list alone? */
function isAskedFor({ tokens, from, to, isRead }: QueryWalk): boolean {
  if (!isRead || tokens.keyword(from) !== 'select') return false
  for (let i = from + 1; i < to; i++) {
    const word = tokens.keyword(i)
    if (word === 'from' || word === 'where' || word === 'having') return false
  }
  return true
}

function add(walk: QueryWalk, effect: Effect): void {
  const isKnown = walk.effects.some((known) =>
    known.kind === 'set' || known.kind === 'dblink'
      ? isDeepStrictEqual(known, effect)
      : known.kind === effect.kind,
  )
  if (!isKnown) walk.effects.push(effect)
}

function setConfig(walk: QueryWalk, i: number): boolean {
  const call = readSetConfig(walk.tokens, i + 1, runsOnce(walk.tokens, walk.from, walk.to))
  const { effect } = call
  walk.effects.push(effect)
  if (effect.kind === 'set' && effect.name === 'seed') walk.pin ??= SEED_PIN
  if (!call.isPlain) walk.hides = true
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
  'pg_advisory_unlock_all',
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
