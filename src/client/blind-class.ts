import type { CatalogSets, NamedUses, SessionUse } from '../sql/catalog-sets.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import type { SessionScope } from './cluster-access.ts'
import { isUnproved } from './leaves-unknown.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/*
 * A statement that was judged before the catalog had been read may have run what only the catalog
 * knows. Before the server is asked what it has left, it is judged again: the names of custom
 * parameters that it may have set come from there.
 */

/** With more of them nobody waits for the catalog: the session is pinned for good. */
const maxBlind = 100

/** A request that isn't proved has run: notes whatever it may have set beside what its class says. */
export function noteUnproved(session: ClientSession, request: Request): void {
  const { pins, scope, blind } = session
  const { classifier, customsInDdl } = scope
  if (!classifier.isCertain && classifier.lastCatalog !== null) {
    // What has changed since is new, and its text was seen if it came this way.
    for (const name of customsOf(classifier.lastCatalog)) pins.ask(name)
    for (const name of customsInDdl) pins.ask(name)
  }
  const { cls, executed, queryClass, names } = request
  for (const ran of [cls, ...executed, queryClass, names?.body ?? null]) {
    if (ran === null || !classifier.wasBlind(ran) || !ran.effects.some(isUnproved)) continue
    if (blind.size < maxBlind) blind.add(ran)
    else pins.add('unknown customs')
  }
}

/** So many names are kept; who has more has generated them. */
const maxCustoms = 1_000

/** Names that DDL gives to custom parameters, in the body of a function for one. */
export function noteCustoms({ customsInDdl }: SessionScope, text: Buffer): void {
  for (const match of text.toString('latin1').matchAll(customName)) {
    const name = (match[1] ?? match[2] ?? '').toLowerCase()
    if (customsInDdl.size < maxCustoms) customsInDdl.add(name)
  }
}

const customName =
  /\bset_config\s*\(\s*'+([a-z_][\w$]*(?:\.[\w$]+)+)'|\bset\s+(?:session\s+|local\s+)?([a-z_][\w$]*(?:\.[\w$]+)+)\s*(?:=|\bto\b)/gi

/** False: the catalog isn't there yet; `again` is called as soon as it is. */
export function judgeBlind(session: ClientSession, again: () => void): boolean {
  const { blind, pins, scope } = session
  if (blind.size === 0) return true
  const { classifier } = scope
  if (classifier.lastCatalog === null) {
    if (session.waitsForCatalog) return false
    session.waitsForCatalog = true
    classifier.onCatalog(() => {
      session.waitsForCatalog = false
      again()
    })
    return false
  }
  for (const cls of blind) {
    const again = classifier.judgeAgain(cls)
    if (again === null) pins.add('unknown customs')
    else learnAgain(session, again)
  }
  blind.clear()
  return true
}

function learnAgain({ pins }: ClientSession, { effects, pin }: StatementClass): void {
  for (const effect of effects) {
    if (effect.kind === 'unproved') pins.apply(effect)
    else if (effect.kind === 'set' && !effect.local) pins.ask(effect.name)
  }
  if (pin !== null && effects.length === 0) pins.add(pin)
}

const customs = new WeakMap<CatalogSets, ReadonlySet<string>>()

/** All custom parameters that anything in the catalog is known to set. */
function customsOf(catalog: CatalogSets): ReadonlySet<string> {
  const known = customs.get(catalog)
  if (known !== undefined) return known
  const names = new Set<string>()
  const add = (effects: SessionUse['effects']): void => {
    for (const effect of effects) {
      if (effect.kind === 'unproved') for (const name of effect.customs ?? []) names.add(name)
    }
  }
  const addNamed = (uses: NamedUses): void => {
    for (const use of Object.values(uses)) if (use !== undefined) add(use.effects)
  }
  for (const effects of catalog.sessionEffects.values()) add(effects)
  for (const use of catalog.operatorUses.values()) add(use.effects)
  for (const uses of catalog.namedUses.values()) addNamed(uses)
  addNamed(catalog.anyUses)
  add(catalog.ddlUse?.effects ?? [])
  add(catalog.hiddenUse?.effects ?? [])
  customs.set(catalog, names)
  return names
}
