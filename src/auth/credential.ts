import { inspect } from 'node:util'
import type { ScramKeys } from './scram-keys.ts'

/** What a credential consists of; see `Credential`. */
export type CredentialFacts =
  | { readonly kind: 'password'; readonly password: string }
  | ({ readonly kind: 'scram-keys' } & ScramKeys)
  | { readonly kind: 'md5-hash'; readonly hash: string }
  | { readonly kind: 'none' }

/**
 * What a log-in to a server may use:
 * - `password`: answers every method;
 * - `scram-keys`: the keys recovered from a client's own proof; answers SCRAM with the same salt
 *   and iterations only;
 * - `md5-hash`: `md5` and 32 hex digits, as stored; answers the md5 method only;
 * - `none`: for servers that trust us, or know us by our TLS certificate.
 *
 * It never shows its secret: `String()`, `inspect` and `JSON.stringify` give the kind alone.
 */
export type Credential = CredentialFacts & Redacted

interface Redacted {
  toString(): string
  toJSON(): string
}

const redacted = {
  toString(this: CredentialFacts): string {
    return `[credential ${this.kind}]`
  },
  toJSON(this: CredentialFacts): string {
    return `[credential ${this.kind}]`
  },
  [inspect.custom](this: CredentialFacts): string {
    return `[credential ${this.kind}]`
  },
}

/** A frozen credential whose secret stays out of logs. */
export function credential<Facts extends CredentialFacts>(facts: Facts): Facts & Redacted {
  return Object.freeze(Object.assign(Object.create(redacted), facts)) as Facts & Redacted
}

export const noCredential: Credential = credential({ kind: 'none' })
