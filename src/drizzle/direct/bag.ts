/** Where it lies in its bag; -1 = in none. Written by the bag. */
export interface InBag {
  at: number
}

/**
 * Things in no order, each in one bag at most. In place of a Set, which makes a new table every few
 * times that one thing enters and leaves it: two of them were a µs of every statement.
 */
export class Bag<T extends InBag> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  add(item: T): void {
    item.at = this.#items.length
    this.#items.push(item)
  }

  /** False: it isn't in here. */
  delete(item: T): boolean {
    const { at } = item
    if (this.#items[at] !== item) return false
    const last = this.#items.pop() as T
    if (last !== item) {
      this.#items[at] = last
      last.at = at
    }
    item.at = -1
    return true
  }

  /** Those that are in here now. */
  all(): T[] {
    return [...this.#items]
  }
}
