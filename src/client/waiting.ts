import type { Request } from './request.ts'

/**
 * The request of a session that can't be sent yet, if there is one: it waits for a connection, for
 * settings, for news of the topology. Nothing that the client says gets before it.
 */
export class Waiting {
  #request: Request | null = null
  #withdraw: (() => void) | null = null
  #whenAlone: (() => void) | null = null

  /** The one that waits; null: none does. */
  get request(): Request | null {
    return this.#request
  }

  isFor(request: Request): boolean {
    return this.#request === request
  }

  /**
   * `withdraw` takes it out of where it waits; null: what it waits for can't be called off, and is
   * told of when it comes.
   */
  begin(request: Request, withdraw: (() => void) | null): void {
    this.#request = request
    this.#withdraw = withdraw
    this.#whenAlone = null
  }

  /** It waits until nothing else of its session is in flight; then `goOn` is called. */
  beginUntilAlone(request: Request, goOn: () => void): void {
    this.begin(request, noMore)
    this.#whenAlone = goOn
  }

  /** What it has waited for has come, or never will. */
  end(): void {
    this.#request = null
    this.#withdraw = null
    this.#whenAlone = null
  }

  /** The same if it is this one that waits. */
  endOf(request: Request): void {
    if (this.#request === request) this.end()
  }

  /** Takes it out of where it waits, and returns it; null: none waits, or it can't be called off. */
  withdraw(): Request | null {
    const request = this.#request
    const withdraw = this.#withdraw
    if (request === null || withdraw === null) return null
    this.end()
    withdraw()
    return request
  }

  get isUntilAlone(): boolean {
    return this.#whenAlone !== null
  }

  /** Nothing else of its session is in flight. */
  noteAlone(): void {
    const goOn = this.#whenAlone
    if (goOn === null) return
    this.end()
    goOn()
  }
}

const noMore = (): void => {}
