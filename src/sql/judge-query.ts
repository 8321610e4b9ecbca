/** Queries and writes: what the walk over their tokens has found, as a verdict. */
import { firstPin } from './effect-pin.ts'
import { effectPart, type JudgeContext, plainPart } from './part.ts'
import { QueryWalk } from './query-walk.ts'
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
  const pin = pinOf(walk)
  if (pin !== null) return effectPart('pin', pin, walk.effects, pin)
  const against = walk.refusal ?? context.noReads
  if (against !== null) {
    const part = effectPart('primary', against, walk.effects)
    const asks =
      walk.isRead && !walk.mayWrite && walk.effects.every(({ kind }) => kind === 'dynamic')
    return asks ? { ...part, asksPrimary: true } : part
  }
  if (walk.effects.length > 0) {
    const tracked = walk.effects.every((effect) => effect.kind === 'set')
    return tracked
      ? effectPart('control', 'sets parameters', walk.effects)
      : effectPart('primary', 'may change the catalog', walk.effects)
  }
  if (walk.readsData) return plainPart('replica', 'reads only')
  return plainPart('either', 'reads no stored data')
}

/** What can't be asked about comes first. A setting that Bind shows needs no pin. */
function pinOf({ pin, hides, effects }: QueryWalk): string | null {
  if (pin !== null) return pin
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
): StatementPart {
  const walk = new QueryWalk(tokens, from, to, context, false)
  walk.run()
  const pin = pinOf(walk)
  if (pin !== null) return effectPart('pin', pin, walk.effects, pin)
  return effectPart('primary', reason, walk.effects)
}
