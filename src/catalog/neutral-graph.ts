/** What may be done to the session by what runs what: a graph, closed over its edges. */
import type { RelationUse, SessionUse } from '../sql/catalog-sets.ts'
import { VERBS } from '../sql/source-reader.ts'
import type { Effect } from '../sql/statement-class.ts'
import { FIRST_USER_OID } from './catalog-queries.ts'

export const RELATION_USES: readonly RelationUse[] = ['read', ...VERBS]

const KINDS = ['function', 'type', 'operator', ...RELATION_USES] as const
export type NodeKind = (typeof KINDS)[number]

/** A thing of the catalog by its kind and oid; oid 0 stands for any of that kind. */
export type Node = number

export function nodeOf(kind: NodeKind, oid: number): Node {
  return oid * KINDS.length + KINDS.indexOf(kind)
}

interface Found {
  readonly effects: Map<string, Effect>
  pin: string | null
  /** Which parameters are set isn't told any longer. */
  isFull: boolean
}

/** Effects of one thing that are kept one by one; more become one that is unproved. */
const MAX_EFFECTS = 24

export class NeutralGraph {
  readonly #found = new Map<Node, Found>()
  /** Node → what runs it. */
  readonly #users = new Map<Node, Node[]>()
  /** Relation → those that any use of it uses as well (its inheritance parents). */
  readonly #parents = new Map<number, number[]>()
  readonly #pending: Node[] = []

  /** `user` runs `used`. */
  uses(user: Node, used: Node): void {
    if (user === used) return
    const users = this.#users.get(used)
    if (users === undefined) this.#users.set(used, [user])
    else if (users.at(-1) !== user) users.push(user)
  }

  /** Whatever is done to the parent is done to the child. */
  inherits(parent: number, child: number): void {
    const parents = this.#parents.get(child)
    if (parents === undefined) this.#parents.set(child, [parent])
    else parents.push(parent)
  }

  /** `node` does this by itself. */
  does(node: Node, effects: readonly Effect[], pin: string | null = null): void {
    if (effects.length === 0 && pin === null) return
    const found: Found = this.#found.get(node) ?? { effects: new Map(), pin: null, isFull: false }
    this.#found.set(node, found)
    const before = found.effects.size
    const hadPin = found.pin !== null
    const wasFull = found.isFull
    for (const effect of effects) {
      if (!found.isFull || effect.kind !== 'set') found.effects.set(keyOf(effect), effect)
    }
    found.pin ??= pin
    if (found.effects.size > MAX_EFFECTS && !found.isFull) {
      found.isFull = true
      limit(found.effects)
    }
    if (
      found.effects.size !== before ||
      hadPin !== (found.pin !== null) ||
      wasFull !== found.isFull
    )
      this.#pending.push(node)
  }

  close(): void {
    for (let node = this.#pending.pop(); node !== undefined; node = this.#pending.pop()) {
      const use = this.use(node)
      if (use === null) continue
      const kind = ((node % KINDS.length) + KINDS.length) % KINDS.length
      const oid = (node - kind) / KINDS.length
      for (const user of this.#users.get(node) ?? []) this.does(user, use.effects, use.pin)
      for (const parent of this.#parents.get(oid) ?? []) {
        if (kind >= FIRST_RELATION_KIND) {
          this.does(parent * KINDS.length + kind, use.effects, use.pin)
        }
      }
      if (oid >= FIRST_USER_OID) this.does(kind, use.effects, use.pin)
    }
  }

  /** null: it's neutral. */
  use(node: Node): SessionUse | null {
    const found = this.#found.get(node)
    return found === undefined ? null : { effects: [...found.effects.values()], pin: found.pin }
  }
}

const FIRST_RELATION_KIND = KINDS.indexOf('read')

/** One unproved effect is as good as another that may do as much. */
function keyOf(effect: Effect): string {
  if (effect.kind !== 'unproved') return JSON.stringify(effect)
  return `unproved ${effect.customs?.join(' ') ?? '*'}`
}

function limit(effects: Map<string, Effect>): void {
  const unknown: Effect = { kind: 'unproved', why: 'does too much to be told', customs: null }
  for (const [key, effect] of effects) if (effect.kind === 'set') effects.delete(key)
  effects.set(keyOf(unknown), unknown)
}
