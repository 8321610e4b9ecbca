import type { Request } from './request.ts'

/** Where a session is in the segment of the extended protocol that its client is sending. */
export class Collecting {
  #segment: Request | null = null
  #isSkipping = false

  /** The one that is being collected, or goes on behind a Flush; null: none. */
  get segment(): Request | null {
    return this.#segment
  }

  /** After an error everything up to Sync is dropped (protocol-flow, "Extended Query"). */
  get isSkipping(): boolean {
    return this.#isSkipping
  }

  /** A first message of it has come, or more of it may come than was thought. */
  begin(segment: Request): Request {
    this.#segment = segment
    return segment
  }

  /** Nothing more belongs to it. */
  end(): void {
    this.#segment = null
  }

  endOf(segment: Request): void {
    if (this.#segment === segment) this.#segment = null
  }

  /** It has failed here, and no server has it. */
  fail(): void {
    this.#segment = null
    this.#isSkipping = true
  }

  /** It has failed at its server, which skips to Sync, too. */
  skip(): void {
    this.#isSkipping = true
  }

  /** Sync has come. */
  stopSkipping(): void {
    this.#isSkipping = false
  }
}
