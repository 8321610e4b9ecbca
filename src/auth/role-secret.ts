import type { Identity } from './identity.ts'
import { parseStoredSecret, type StoredSecret } from './stored-secret.ts'

/**
 * The role's secret or, for the log, in PostgreSQL's words, why there is none. `hasSuperusers`: the
 * way in which passwords are read leaves nobody out.
 */
export function roleSecret(
  user: string,
  { role }: Identity,
  hasSuperusers = true,
): { readonly secret: StoredSecret | null; readonly why: string | null } {
  if (role === null) return { secret: null, why: `Role "${user}" does not exist.` }
  if (role.password === null && role.isSuperuser && !hasSuperusers) {
    const why = `User "${user}" is a superuser, and the look-up function tells no superuser's password: list the user under auth.users.`
    return { secret: null, why }
  }
  if (role.password === null) {
    return { secret: null, why: `User "${user}" has no password assigned, or none that is told.` }
  }
  if (role.isExpired) return { secret: null, why: `User "${user}" has an expired password.` }
  const secret = parseStoredSecret(role.password)
  const why = secret === null ? `The password of user "${user}" is stored in no known form.` : null
  return { secret, why }
}
