import type { Request } from './request.ts'

/**
 * The requests of one session that server connections have and have not answered, in order. Mostly
 * there is one, or none: an array would get a new store for each.
 */
export class InFlight {
  /** The one that is answered next. */
  first: Request | null = null
  readonly #others: Request[] = []

  get length(): number {
    return this.first === null ? 0 : this.#others.length + 1
  }

  get last(): Request | null {
    return this.#others.at(-1) ?? this.first
  }

  push(request: Request): void {
    if (this.first === null) this.first = request
    else this.#others.push(request)
  }

  /** Takes the request out, if it is there. */
  remove(request: Request): void {
    if (this.first === request) {
      this.first = this.#others.length === 0 ? null : (this.#others.shift() ?? null)
      return
    }
    const index = this.#others.indexOf(request)
    if (index >= 0) this.#others.splice(index, 1)
  }

  some(test: (request: Request) => boolean): boolean {
    return this.find(test) !== undefined
  }

  find(test: (request: Request) => boolean): Request | undefined {
    if (this.first === null) return undefined
    return test(this.first) ? this.first : this.#others.find(test)
  }

  *[Symbol.iterator](): Generator<Request, void, undefined> {
    if (this.first === null) return
    yield this.first
    yield* this.#others
  }
}
