import { inspect } from 'node:util'

/**
 * A value that must not be printed: every way of showing it by accident (template string, JSON,
 * console, logger, inspector) gives `[redacted]`. Only `reveal()` gives the text.
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The secret itself. Call it where it is used, not where it is passed on. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[redacted]'
  }

  toJSON(): string {
    return '[redacted]'
  }

  [inspect.custom](): string {
    return '[redacted]'
  }
}
