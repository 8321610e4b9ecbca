/** Queries and writes: what the walk over their tokens has found, as a verdict. */
import { CLOCK_TYPES, usesClock } from './clock-use.ts'
import { firstPin } from './effect-pin.ts'
import { effectPart, type JudgeContext, pinPart, plainPart, withIgnorance } from './part.ts'
import { lastingPin, type Pin } from './pin.ts'
import { QueryWalk } from './query-walk.ts'
import { addEffect, usesOf } from './session-uses.ts'
import type { Verb } from './source-reader.ts'
import type { Effect, StatementPart } from './statement-class.ts'
import type { TokenList } from './tokens.ts'

/** Judges a query that begins with SELECT, WITH, VALUES, TABLE or `(`. */
export function judgeQuery(
  tokens: TokenList,
  from: number,
  to: number,
  context: JudgeContext,
): StatementPart {
  return verdictOf(new QueryWalk(tokens, from, to, context, true), context)
}

/** Judges reading the relation whose (qualified) name the tokens are, as COPY does. */
export function judgeRelation(
  tokens: TokenList,
  from: number,
  to: number,
  context: JudgeContext,
): StatementPart {
  const walk = new QueryWalk(tokens, from, to, context, true)
  walk.expectRelation()
  return verdictOf(walk, context)
}

/** Judges an expression in parentheses, as the arguments of EXECUTE are. */
export function judgeExpression(
  tokens: TokenList,
  from: number,
  to: number,
  context: JudgeContext,
): StatementPart {
  return verdictOf(new QueryWalk(tokens, from, to, context, true), context)
}

function verdictOf(walk: QueryWalk, context: JudgeContext): StatementPart {
  walk.run()
  settle(walk, context)
  const pin = pinOf(walk)
  if (pin !== null) return pinPart(pin, walk.effects)
  const against = againstReading(walk, context)
  if (against !== null) {
    const refused = effectPart('primary', against.why, walk.effects)
    const { volatileCall } = walk
    const known = withIgnorance(refused, against.ignorance)
    const part = volatileCall === null ? known : { ...known, volatileCall }
    const asks = walk.isRead && !walk.mayWrite && walk.effects.every(isOfUnknown)
    if (!asks) return part
    const isOfNode = walk.readsNode && context.noReads === null && walk.effects.length === 0
    return { ...part, asksPrimary: true, ...(isOfNode ? { readsNode: true } : {}) }
  }
  if (walk.effects.length > 0) {
    const tracked = walk.effects.every((effect) => effect.kind === 'set')
    return tracked
      ? effectPart('control', 'sets parameters', walk.effects)
      : effectPart('primary', 'may change the catalog', walk.effects)
  }
  const part = walk.readsData
    ? plainPart('replica', 'reads only')
    : plainPart('either', 'reads no stored data')
  return {
    ...part,
    ...(ignoresCustoms(walk, context) && { ignoresCustoms: true }),
    ...(ignoresClock(walk, context) && { ignoresClock: true }),
  }
}

function againstReading(
  { refusal, isOfUnknown }: QueryWalk,
  { noReads }: JudgeContext,
): JudgeContext['noReads'] {
  if (refusal === null) return noReads
  return { why: refusal, ignorance: isOfUnknown ? 'unknown name' : null }
}

/** Nothing that it names, whatever for, may look at a custom parameter. */
function ignoresCustoms({ names, operators, isRead }: QueryWalk, context: JudgeContext): boolean {
  const readers = context.catalog?.customReaders ?? null
  return isRead && readers !== null && namesNone(readers, names, operators)
}

/** Nothing that it names may ask when the transaction began, nor does its own text. */
function ignoresClock(walk: QueryWalk, { catalog }: JudgeContext): boolean {
  const { names, operators } = walk
  const readers = catalog?.clockReaders ?? null
  if (catalog === null || readers === null || !namesNone(readers, names, operators)) return false
  const isPlain = (type: string): boolean =>
    catalog.types.has(type) && !catalog.userTypes.has(type) && !CLOCK_TYPES.has(type)
  return walk.isRead && !usesClock(walk.tokens, walk.from, walk.to, isPlain)
}

function namesNone(
  readers: ReadonlySet<string>,
  ...named: readonly ReadonlySet<string>[]
): boolean {
  for (const set of named) for (const name of set) if (readers.has(name)) return false
  return true
}

/** Adds what the things that are named do to the session, and what isn't known of them. */
function settle(walk: QueryWalk, context: JudgeContext): void {
  const { catalog } = context
  // An UPDATE of it was told by the walk.
  if (walk.hides) walk.names.delete('pg_settings')
  if (catalog !== null) {
    for (const { what, effects, pin } of usesOf(catalog, walk)) {
      for (const effect of effects) addEffect(walk.effects, effect)
      if (pin !== null) walk.pin ??= `uses ${what}, which ${pin}`
      walk.refusal ??= `uses ${what}, which may change its session`
      walk.readsNode = false
    }
  }
  const isStale = context.isStale === true
  // Who only reads what was known and neutral a moment ago is not held up by a change elsewhere.
  const isRead = walk.isRead && walk.verbs.size === 0 && catalog !== null
  const isOpen = isStale && !isRead && (walk.touches || walk.verbs.size > 0)
  const why = walk.unknown ?? (isOpen ? STALE : null)
  if (why !== null) addEffect(walk.effects, { kind: 'unproved', why, customs: [] })
}

/** What names that nobody knows may do. */
function isOfUnknown({ kind }: Effect): boolean {
  return kind === 'dynamic' || kind === 'unproved'
}

const STALE = 'the catalog is being read'

/** What can't be asked about comes first. A setting that Bind shows needs no pin. */
function pinOf({ pin, hides, effects }: QueryWalk): Pin | null {
  if (pin !== null) return lastingPin(pin)
  const isShown = (effect: Effect): boolean => effect.kind === 'set' && !hides
  return firstPin(effects.filter((effect) => !isShown(effect)))
}

/** Judges a statement that goes to the primary anyway: only its effects on the session matter. */
export function judgeWrite(
  tokens: TokenList,
  from: number,
  to: number,
  context: JudgeContext,
  reason: string,
  /** What it does to the relations that it names, beside what its words say. */
  verbs: readonly Verb[] = [],
  usesAny = false,
): StatementPart {
  const walk = new QueryWalk(tokens, from, to, context, false)
  walk.run()
  for (const verb of verbs) walk.verbs.add(verb)
  walk.usesAny = usesAny
  settle(walk, context)
  const pin = pinOf(walk)
  if (pin !== null) return pinPart(pin, walk.effects)
  return effectPart('primary', reason, walk.effects)
}
