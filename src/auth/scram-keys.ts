import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { saslprep } from './saslprep.ts'

/** All digests are SHA-256 (RFC 7677). */
export const scramKeyBytes = 32

/** The server's half of a secret, as `pg_authid.rolpassword` stores it. */
export interface ScramVerifier {
  readonly iterations: number
  readonly salt: Buffer
  readonly storedKey: Buffer
  readonly serverKey: Buffer
}

/** A verifier and the client's key to it: enough to log in where the same verifier is stored. */
export interface ScramKeys extends ScramVerifier {
  readonly clientKey: Buffer
}

export function hmac(key: Uint8Array, data: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

export function sha256(data: Uint8Array): Buffer {
  return createHash('sha256').update(data).digest()
}

/** Constant-time for equal lengths; lengths are no secret. */
export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

export function xor(a: Buffer, b: Buffer): Buffer {
  const out = Buffer.allocUnsafe(a.length)
  for (let i = 0; i < a.length; i++) out[i] = (a[i] as number) ^ (b[i] as number)
  return out
}

/** 4096 iterations are 1–3 ms of one core: a pool that opens 20 connections pays it once. */
const derived = new Map<string, Promise<ScramKeys>>()
const maxDerived = 512
const cacheSecret = randomBytes(32)

/**
 * SaltedPassword and its three keys (RFC 5802, section 3), computed off the event loop. Results
 * are remembered under a keyed hash of the input; the password itself is not kept.
 */
export function deriveScramKeys(
  password: string,
  salt: Buffer,
  iterations: number,
): Promise<ScramKeys> {
  const prepared = saslprep(password)
  const id = createHmac('sha256', cacheSecret)
    .update(`${iterations}:${salt.toString('base64')}:`)
    .update(prepared)
    .digest('base64')
  const known = derived.get(id)
  if (known !== undefined) {
    remember(id, known)
    return known
  }
  const keys = saltedPassword(prepared, salt, iterations).then((salted): ScramKeys => {
    const clientKey = hmac(salted, 'Client Key')
    return {
      iterations,
      salt,
      clientKey,
      storedKey: sha256(clientKey),
      serverKey: hmac(salted, 'Server Key'),
    }
  })
  remember(id, keys)
  keys.catch(() => derived.delete(id))
  return keys
}

/** A Map keeps its order: the first is the one unused for longest. */
function remember(id: string, keys: Promise<ScramKeys>): void {
  derived.delete(id)
  derived.set(id, keys)
  for (const oldest of derived.keys()) {
    if (derived.size <= maxDerived) break
    derived.delete(oldest)
  }
}

function saltedPassword(password: Buffer, salt: Buffer, iterations: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, scramKeyBytes, 'sha256', (error, key) => {
      if (error === null) resolve(key)
      else reject(error)
    })
  })
}
