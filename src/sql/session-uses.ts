/** What the things that a statement names do to the session, by the catalog's proofs. */
import type { CatalogSets, SessionUse } from './catalog-sets.ts'
import type { Verb } from './source-reader.ts'
import type { Effect } from './statement-class.ts'

/** What a text names, whatever it names it for. */
export interface NamedThings {
  readonly names: ReadonlySet<string>
  readonly called: ReadonlySet<string>
  readonly operators: ReadonlySet<string>
  readonly verbs: ReadonlySet<Verb>
  readonly usesAny: boolean
  readonly runsDdl: boolean
  readonly trusted?: ReadonlySet<string>
}

/** A use that isn't proved to leave the session as it is, and of what. */
interface NamedUse extends SessionUse {
  readonly what: string
}

/** All that isn't neutral. A typical database has nothing of the kind, and nothing is looked up. */
export function usesOf(catalog: CatalogSets, things: NamedThings): NamedUse[] {
  const found: NamedUse[] = []
  const add = (what: string, use: SessionUse | null | undefined) => {
    if (use !== null && use !== undefined) found.push({ ...use, what })
  }
  add('what no text shows', catalog.hiddenUse)
  if (things.runsDdl) add('an event trigger', catalog.ddlUse)
  for (const name of things.trusted ?? []) {
    if (catalog.replacedNames.has(name)) add(name, replaced(name))
  }
  for (const name of things.called) {
    const effects = catalog.sessionEffects.get(name) ?? []
    const pin = catalog.sessionFunctions.get(name) ?? null
    if (effects.length > 0 || pin !== null) add(`${name}()`, { effects, pin })
  }
  if (catalog.operatorUses.size > 0) {
    for (const name of things.operators) add(`the operator ${name}`, catalog.operatorUses.get(name))
  }
  const uses = ['type', 'read', ...things.verbs] as const
  if (catalog.namedUses.size > 0) {
    for (const name of things.names) {
      const named = catalog.namedUses.get(name)
      if (named !== undefined) for (const use of uses) add(name, named[use])
    }
  }
  if (things.usesAny) for (const use of uses) add('any relation', catalog.anyUses[use])
  return found
}

/** SQL was put together by a function or operator that somebody has made anew. */
export function replaced(name: string): SessionUse {
  const why = `puts SQL together by ${name}, which is not PostgreSQL's own`
  return { effects: [{ kind: 'unproved', why, customs: null }], pin: null }
}

/** What SQL is put together by, where it can be read. */
export const PUTS_TOGETHER: ReadonlySet<string> = new Set([
  'format',
  'quote_ident',
  'quote_literal',
  'quote_nullable',
  '||',
])

/** Puts an effect to others; two that are unproved become one that may do what both may. */
export function addEffect(effects: Effect[], effect: Effect): void {
  if (effect.kind !== 'unproved') {
    const isKnown = effects.some((known) => isSame(known, effect))
    if (!isKnown) effects.push(effect)
    return
  }
  const at = effects.findIndex(({ kind }) => kind === 'unproved')
  const known = effects[at]
  if (known?.kind !== 'unproved') {
    effects.push(effect)
    return
  }
  const { customs } = known
  const joined =
    customs === null || effect.customs === null
      ? null
      : [...new Set([...customs, ...effect.customs])]
  effects[at] = { ...(customs === null ? known : effect), customs: joined }
}

function isSame(a: Effect, b: Effect): boolean {
  return a.kind === b.kind && JSON.stringify(a) === JSON.stringify(b)
}
