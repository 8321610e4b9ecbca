/** The neutral closure by names, as the classifier looks them up: only what isn't neutral. */
import { callEffects } from '../sql/built-in-use.ts'
import type { CatalogSets, NamedUses, RelationUse, SessionUse } from '../sql/catalog-sets.ts'
import type { Effect } from '../sql/statement-class.ts'
import { type CatalogRows, integer, text } from './catalog-rows.ts'
import type { Closure } from './closure.ts'
import { NeutralClosure } from './neutral-closure.ts'
import { type NodeKind, nodeOf, RELATION_USES } from './neutral-graph.ts'

type NeutralSets = Pick<
  CatalogSets,
  | 'sessionFunctions'
  | 'sessionEffects'
  | 'namedUses'
  | 'operatorUses'
  | 'anyUses'
  | 'ddlUse'
  | 'hiddenUse'
  | 'replacedNames'
  | 'ddlFunctions'
>

export function neutralSets(rows: CatalogRows, closure: Closure): NeutralSets {
  const neutral = new NeutralClosure(rows, closure.functions)
  const { graph } = neutral
  const functions = new Map<string, SessionUse>()
  for (const { oid, name, builtIn } of closure.functions) {
    // What is known of built-ins needs no catalog.
    if (!builtIn || !isKnownCall(name)) add(functions, name, graph.use(nodeOf('function', oid)))
  }
  const operators = new Map<string, SessionUse>()
  for (const row of rows.operators) {
    add(operators, text(row, 'name'), graph.use(nodeOf('operator', integer(row, 'oid'))))
  }
  const named = new Map<string, Map<RelationUse | 'type', SessionUse>>()
  const note = (row: CatalogRows['types'][number], kind: RelationUse | 'type') => {
    const use = graph.use(nodeOf(kind, integer(row, 'oid')))
    if (use === null) return
    const name = text(row, 'name')
    const uses = named.get(name) ?? new Map<RelationUse | 'type', SessionUse>()
    named.set(name, uses)
    add(uses, kind, use)
  }
  for (const row of rows.types) note(row, 'type')
  for (const row of rows.relations) for (const use of RELATION_USES) note(row, use)
  const any: [NodeKind, SessionUse | null][] = (['type', ...RELATION_USES] as const).map((kind) => [
    kind,
    graph.use(nodeOf(kind, 0)),
  ])
  const pins: [string, string][] = []
  const effects: [string, readonly Effect[]][] = []
  for (const [name, use] of functions) {
    if (use.pin !== null) pins.push([name, use.pin])
    if (use.effects.length > 0) effects.push([name, use.effects])
  }
  return {
    sessionFunctions: new Map(pins),
    sessionEffects: new Map(effects),
    namedUses: new Map([...named].map(([name, uses]) => [name, Object.fromEntries(uses)])),
    operatorUses: operators,
    anyUses: Object.fromEntries(any.filter(([, use]) => use !== null)) as NamedUses,
    ddlUse: neutral.event,
    hiddenUse: neutral.every,
    replacedNames: neutral.replacedNames,
    ddlFunctions: neutral.ddlFunctions,
  }
}

function isKnownCall(name: string): boolean {
  return callEffects(name)?.length !== 0
}

/** Joins what things of one name do. */
function add<Key>(map: Map<Key, SessionUse>, name: Key, use: SessionUse | null): void {
  if (use === null) return
  const known = map.get(name)
  if (known === undefined) map.set(name, use)
  else {
    const effects = [...known.effects]
    const keys = new Set(effects.map((effect) => JSON.stringify(effect)))
    for (const effect of use.effects) if (!keys.has(JSON.stringify(effect))) effects.push(effect)
    map.set(name, { effects, pin: known.pin ?? use.pin })
  }
}
