import { inspect } from 'node:util'
import { isMd5Hash } from './md5.ts'
import { type ScramVerifier, scramKeyBytes } from './scram-keys.ts'

/** What is known of a user's password: itself, or what PostgreSQL stores instead. */
export type StoredSecret =
  | { readonly kind: 'password'; readonly password: string }
  | { readonly kind: 'scram'; readonly verifier: ScramVerifier }
  | { readonly kind: 'md5'; readonly hash: string }

const scramForm = /^SCRAM-SHA-256\$(\d{1,10}):([A-Za-z0-9+/]+={0,2})\$([^:$]+):([^:$]+)$/
const maxSaltBytes = 1024
const maxIterations = 2 ** 31 - 1

/**
 * Reads `pg_authid.rolpassword`: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey` or `md5…`.
 * Null for anything else (PostgreSQL would take that for a plain password, which it never stores).
 */
export function parseStoredSecret(text: string): StoredSecret | null {
  if (isMd5Hash(text)) return hide({ kind: 'md5', hash: text })
  const verifier = parseScramVerifier(text)
  return verifier === null ? null : hide({ kind: 'scram', verifier })
}

/** A secret given as a password. */
export function passwordSecret(password: string): StoredSecret {
  return hide({ kind: 'password', password })
}

export function parseScramVerifier(text: string): ScramVerifier | null {
  if (text.length > 4096) return null
  const match = scramForm.exec(text)
  if (match === null) return null
  const [, count = '', salt64 = '', stored64 = '', server64 = ''] = match
  const iterations = Number(count)
  const salt = decodeBase64(salt64)
  const storedKey = decodeBase64(stored64)
  const serverKey = decodeBase64(server64)
  if (salt === null || salt.length === 0 || salt.length > maxSaltBytes) return null
  if (storedKey === null || storedKey.length !== scramKeyBytes) return null
  if (serverKey === null || serverKey.length !== scramKeyBytes) return null
  if (iterations < 1 || iterations > maxIterations) return null
  return { iterations, salt, storedKey, serverKey }
}

/** The form that PostgreSQL stores and accepts in `ALTER ROLE … PASSWORD`. */
export function formatScramVerifier(verifier: ScramVerifier): string {
  const { iterations, salt, storedKey, serverKey } = verifier
  const [salt64, stored64, server64] = [salt, storedKey, serverKey].map((b) => b.toString('base64'))
  return `SCRAM-SHA-256$${iterations}:${salt64}$${stored64}:${server64}`
}

/** Canonical base64 only: Node's decoder alone would skip whatever it doesn't know. */
export function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : null
}

function hide<T extends StoredSecret>(secret: T): T {
  const text = (): string => `[stored secret ${secret.kind}]`
  for (const name of ['toString', 'toJSON', inspect.custom]) {
    Object.defineProperty(secret, name, { value: text })
  }
  return Object.freeze(secret)
}
