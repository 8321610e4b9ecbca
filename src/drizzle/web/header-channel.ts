import { validateHeaderName } from 'node:http'
import { ConfigError } from '../../errors.ts'
import { type Secrets, SignedValue } from './signed-value.ts'
import type { Brought, HeaderChange, IgnoredReason, TokenChannel } from './token-channel.ts'
import { PRIMARY_ONLY } from './token-channel.ts'
import type { WebRequest } from './web-request.ts'

export interface HeaderOptions {
  /** Of request and response alike, such as `x-causal-token`. */
  readonly name: string
  /** With it tokens are signed. Without it a client can write its own, and so choose the primary. */
  readonly secret?: Secrets
  /** How long a signed token is believed, ms. Default 1 h. */
  readonly maxAgeMs?: number
}

/** A client that runs several requests at a time may send the tokens of all answers. */
const MAX_TOKENS = 8

/** Tokens in a header of the application's choice: one out, any number in, separated by commas. */
export class HeaderChannel implements TokenChannel {
  readonly #name: string
  readonly #key: string
  readonly #signed: SignedValue | null
  readonly #maxAgeMs: number
  readonly #primaryOnlyMs: number

  /** Throws ConfigError for a name that no header can have. */
  constructor(options: HeaderOptions, maxAgeMs: number, primaryOnlyMs: number) {
    const { name, secret } = options
    try {
      validateHeaderName(name)
    } catch (error) {
      throw new ConfigError('header.name', 'is no name of a header', error)
    }
    this.#name = name
    this.#key = name.toLowerCase()
    this.#signed =
      secret === undefined ? null : new SignedValue(secret, `header ${this.#key}`, 'header.secret')
    this.#maxAgeMs = maxAgeMs
    this.#primaryOnlyMs = primaryOnlyMs
  }

  read(request: WebRequest, nowMs: number, onIgnored: (reason: IgnoredReason) => void): Brought[] {
    const values = (request.header(this.#key) ?? '')
      .split(',', MAX_TOKENS)
      .map((text) => text.trim())
    return values.flatMap((value): Brought[] => {
      if (value === '') return []
      if (this.#signed === null) return [{ token: value, expiresAtMs: null }]
      const opened = this.#signed.open(value, nowMs)
      if ('text' in opened) return [{ token: opened.text, expiresAtMs: opened.expiresAtMs }]
      onIgnored(opened.ignored)
      return []
    })
  }

  write(token: string, _fromPrimary: boolean, nowMs: number): HeaderChange {
    const ageMs = token === PRIMARY_ONLY ? this.#primaryOnlyMs : this.#maxAgeMs
    const value = this.#signed === null ? token : this.#signed.sign(token, nowMs + ageMs)
    return { name: this.#name, value, append: false }
  }
}
