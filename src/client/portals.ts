import type { StatementClass } from '../sql/statement-class.ts'
import type { NamedText } from './named-text.ts'

/** What the portals of a session run, by the Bind messages that it has sent so far. */
export class Portals {
  readonly #classes = new Map<string, StatementClass>()
  /** What those do with names of prepared statements; made when the first such is bound. */
  #names: Map<string, NamedText> | null = null
  #unnamedClass: StatementClass | null = null
  #unnamedNames: NamedText | null = null

  /** Are there any with a name? */
  get hasNamed(): boolean {
    return this.#classes.size > 0
  }

  bind(portal: string, cls: StatementClass, names: NamedText | null): void {
    if (portal === '') {
      this.#unnamedClass = cls
      this.#unnamedNames = names
      return
    }
    this.#classes.set(portal, cls)
    if (names === null) this.#names?.delete(portal)
    else {
      this.#names ??= new Map()
      this.#names.set(portal, names)
    }
  }

  /** What the portal runs; null: not known. */
  classOf(portal: string): StatementClass | null {
    return portal === '' ? this.#unnamedClass : (this.#classes.get(portal) ?? null)
  }

  namesOf(portal: string): NamedText | null {
    return portal === '' ? this.#unnamedNames : (this.#names?.get(portal) ?? null)
  }

  close(portal: string): void {
    this.#classes.delete(portal)
  }

  closeNamed(): void {
    // clear() makes a new table even where there is nothing to clear.
    if (this.#classes.size > 0) this.#classes.clear()
    this.#names = null
  }

  /** Portals die with their transaction. */
  closeAll(): void {
    this.closeNamed()
    this.#unnamedClass = null
    this.#unnamedNames = null
  }
}
