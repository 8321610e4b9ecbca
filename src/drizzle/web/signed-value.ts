import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { ConfigError } from '../../errors.ts'

/** One secret, or several: the first signs, all of them are accepted. */
export type Secrets = string | readonly string[]

/** What a signed value says, or why it says nothing. */
export type Unsigned =
  | { readonly text: string; readonly expiresAtMs: number }
  | { readonly ignored: 'malformed' | 'forged' | 'expired' }

const MIN_SECRET_BYTES = 32
const MAX_SECRETS = 16
const MAX_VALUE_LENGTH = 256
const FORM = /^(.{1,128})\.([0-9a-z]{1,11})\.([\w-]{43})$/

/**
 * Texts that can be given to strangers and are believed only when they come back unchanged and in
 * time: `text.expiry.signature`. The signature is HMAC-SHA256 with a key derived from the secret for
 * one purpose, so that nothing else signed with the same secret can be put in its place.
 */
export class SignedValue {
  readonly #keys: readonly Buffer[]

  /** Throws ConfigError with `path` for secrets that are missing or too short. */
  constructor(secrets: Secrets, purpose: string, path: string) {
    const list = typeof secrets === 'string' ? [secrets] : secrets
    if (list.length === 0 || list.length > MAX_SECRETS) {
      throw new ConfigError(path, `give 1 to ${MAX_SECRETS} secrets; the first signs`)
    }
    this.#keys = list.map((secret) => {
      if (Buffer.byteLength(secret) < MIN_SECRET_BYTES) {
        throw new ConfigError(path, `a secret needs ${MIN_SECRET_BYTES} bytes or more, at random`)
      }
      return Buffer.from(hkdfSync('sha256', secret, '', `pgsplit causal token v1 ${purpose}`, 32))
    })
  }

  /** The text, believed until `expiresAtMs` (ms since 1970). */
  sign(text: string, expiresAtMs: number): string {
    const [key] = this.#keys
    const signed = `${text}.${Math.ceil(expiresAtMs).toString(36)}`
    return key === undefined ? '' : `${signed}.${signatureOf(key, signed)}`
  }

  /** Never throws, whatever the value is. */
  open(value: string, nowMs: number): Unsigned {
    const match = value.length > MAX_VALUE_LENGTH ? null : FORM.exec(value)
    const [, text, expiry, signature] = match ?? []
    if (text === undefined || expiry === undefined || signature === undefined) {
      return { ignored: 'malformed' }
    }
    // As text: the last character of base64 has spare bits, which must not be free to change.
    const given = Buffer.from(signature, 'latin1')
    const isOurs = this.#keys
      .map((key) => Buffer.from(signatureOf(key, `${text}.${expiry}`), 'latin1'))
      .some((expected) => timingSafeEqual(expected, given))
    if (!isOurs) return { ignored: 'forged' }
    const expiresAtMs = Number.parseInt(expiry, 36)
    return expiresAtMs > nowMs ? { text, expiresAtMs } : { ignored: 'expired' }
  }
}

function signatureOf(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url')
}
