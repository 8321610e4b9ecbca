import { createHash } from 'node:crypto'
import { isSame } from './scram-keys.ts'

function md5Hex(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('md5')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

/** `md5` and 32 hex digits, as PostgreSQL stores it in `pg_authid.rolpassword`. */
export function md5Hash(user: string, password: string): string {
  return `md5${md5Hex(password, user)}`
}

export function isMd5Hash(text: string): boolean {
  return /^md5[0-9a-f]{32}$/.test(text)
}

/** Answer to AuthenticationMD5Password (protocol, "AuthenticationMD5Password"); `salt` is 4 bytes. */
export function md5Response(hash: string, salt: Uint8Array): string {
  return `md5${md5Hex(hash.slice(3), salt)}`
}

/** Constant-time check of a client's answer against the stored hash. */
export function isMd5Response(response: string, hash: string, salt: Uint8Array): boolean {
  return isSame(Buffer.from(response), Buffer.from(md5Response(hash, salt)))
}
