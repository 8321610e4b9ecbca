import type { Identity } from './identity.ts'
import { parseStoredSecret, type StoredSecret } from './stored-secret.ts'

/** The role's secret or, for the log, in PostgreSQL's words, why there is none. */
export function roleSecret(
  user: string,
  { role }: Identity,
): { readonly secret: StoredSecret | null; readonly why: string | null } {
  if (role === null) return { secret: null, why: `Role "${user}" does not exist.` }
  if (role.password === null) {
    return { secret: null, why: `User "${user}" has no password assigned, or none that is told.` }
  }
  if (role.isExpired) return { secret: null, why: `User "${user}" has an expired password.` }
  const secret = parseStoredSecret(role.password)
  const why = secret === null ? `The password of user "${user}" is stored in no known form.` : null
  return { secret, why }
}
