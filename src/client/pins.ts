import type { Effect } from '../sql/statement-class.ts'

/**
 * Why a session must keep its server connection. Each reason goes when the state that caused it
 * provably goes; the session is free when none is left.
 */
export class Pins {
  #channels = new Set<string>()
  #prepared = new Set<string>()
  #cursors = new Set<string>()
  #others = new Set<string>()

  /** One clause, or null when the session is not pinned. */
  get reason(): string | null {
    if (this.#channels.size > 0) return `listens on ${[...this.#channels].join(', ')}`
    if (this.#prepared.size > 0) return `prepared statement ${[...this.#prepared].join(', ')}`
    if (this.#cursors.size > 0) return `cursor ${[...this.#cursors].join(', ')} WITH HOLD`
    for (const other of this.#others) return other
    return null
  }

  add(reason: string): void {
    this.#others.add(reason)
  }

  clear(): void {
    this.#channels.clear()
    this.#prepared.clear()
    this.#cursors.clear()
    this.#others.clear()
  }

  /** True when the effect pins or unpins by itself, so that the class's own reason is not needed. */
  apply(effect: Effect): boolean {
    switch (effect.kind) {
      case 'listen':
        this.#channels.add(effect.channel)
        return true
      case 'unlisten':
        if (effect.channel === null) this.#channels.clear()
        else this.#channels.delete(effect.channel)
        return true
      case 'prepare':
        this.#prepared.add(effect.name)
        return true
      case 'execute':
        return true
      case 'deallocate':
        if (effect.name === null) this.#prepared.clear()
        else this.#prepared.delete(effect.name)
        return true
      case 'declare':
        if (effect.hold) this.#cursors.add(effect.name)
        return effect.hold
      case 'close-cursor':
        if (effect.name === null) this.#cursors.clear()
        else this.#cursors.delete(effect.name)
        return true
      case 'temp':
        this.#others.add('temporary objects')
        return true
      case 'advisory-lock':
        this.#others.add('session advisory lock')
        return true
      case 'advisory-unlock':
        if (effect.all) this.#others.delete('session advisory lock')
        return true
      case 'discard':
        if (effect.what === 'all') this.clear()
        else if (effect.what === 'temp') this.#others.delete('temporary objects')
        return true
      default:
        return false
    }
  }
}
