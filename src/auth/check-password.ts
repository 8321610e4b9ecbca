import { md5Hash } from './md5.ts'
import { deriveScramKeys, isSame, sha256 } from './scram-keys.ts'
import type { StoredSecret } from './stored-secret.ts'

/**
 * Whether this is the user's password, where the whole password is shown (HTTP's Basic). A wrong one
 * takes as long as the right one.
 */
export async function isPassword(
  secret: StoredSecret,
  user: string,
  password: string,
): Promise<boolean> {
  switch (secret.kind) {
    case 'password':
      return isSame(sha256(Buffer.from(password)), sha256(Buffer.from(secret.password)))
    case 'md5':
      return isSame(Buffer.from(md5Hash(user, password)), Buffer.from(secret.hash))
    case 'scram': {
      const { salt, iterations, storedKey } = secret.verifier
      const keys = await deriveScramKeys(password, salt, iterations)
      return isSame(keys.storedKey, storedKey)
    }
    default:
      return secret satisfies never
  }
}
