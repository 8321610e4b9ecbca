import { isPassword } from '../auth/check-password.ts'
import type { MockVerifiers } from '../auth/mock-verifier.ts'
import { isSame, sha256 } from '../auth/scram-keys.ts'
import type { StoredSecret } from '../auth/stored-secret.ts'
import { PgSplitError } from '../errors.ts'
import type { CallerAddress, HttpPeople, HttpRole } from './http-source.ts'

export type Authentication =
  | { readonly kind: 'known'; readonly name: string; readonly role: HttpRole }
  /** It has shown nothing, or what doesn't count. */
  | { readonly kind: 'unknown'; readonly why: string }
  | { readonly kind: 'limited'; readonly retryAfterMs: number }
  /** Nobody can say now. */
  | { readonly kind: 'failed'; readonly why: string }

/** Whom failures of tokens count for: no user has this name (it has a zero byte). */
const tokenUser = '\0token'

const refused = 'the token, or the user with this password, is not known here'

/** Who calls, by the `Authorization` header or the certificate. Never rejects. */
export async function authenticateCaller(
  header: string | undefined,
  from: CallerAddress,
  people: HttpPeople,
): Promise<Authentication> {
  if (header === undefined) return byCertificate(from, people)
  const [, scheme = '', value = ''] = /^(\S{1,16}) +(\S{1,8192})$/.exec(header.trim()) ?? []
  switch (scheme.toLowerCase()) {
    case 'bearer':
      return byToken(value, from, people)
    case 'basic':
      return await byPassword(value, from, people)
    default:
      return { kind: 'unknown', why: 'Authorization takes Bearer or Basic' }
  }
}

function byCertificate({ certificateName }: CallerAddress, people: HttpPeople): Authentication {
  const role =
    certificateName === null || !people.trustsCertificates ? null : people.roleOf(certificateName)
  if (certificateName === null || role === null) {
    return { kind: 'unknown', why: 'this needs a token, or the password of an administrator' }
  }
  return { kind: 'known', name: certificateName, role }
}

function byToken(shown: string, from: CallerAddress, people: HttpPeople): Authentication {
  const { rateLimit } = people
  const retryAfterMs = rateLimit.waitMs(from.address, tokenUser)
  if (retryAfterMs > 0) return { kind: 'limited', retryAfterMs }
  const digest = sha256(Buffer.from(shown))
  // All of them are compared: the time tells nothing of which.
  const [found] = people.tokens().filter(({ token }) => isSame(sha256(Buffer.from(token)), digest))
  if (found === undefined) {
    rateLimit.recordFailure(from.address, tokenUser)
    return { kind: 'unknown', why: refused }
  }
  rateLimit.recordSuccess(from.address, tokenUser)
  return { kind: 'known', name: found.name, role: found.role }
}

async function byPassword(
  encoded: string,
  from: CallerAddress,
  people: HttpPeople,
): Promise<Authentication> {
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0 || text.includes('\0')) return { kind: 'unknown', why: 'Basic takes user:password' }
  const user = text.slice(0, colon)
  const password = text.slice(colon + 1)
  const { rateLimit } = people
  const retryAfterMs = rateLimit.waitMs(from.address, user)
  if (retryAfterMs > 0) return { kind: 'limited', retryAfterMs }
  const role = people.roleOf(user)
  try {
    const secret = role === null ? null : await people.secretOf(user, from)
    const isRight = await isPassword(await verifierOf(user, secret, people), user, password)
    if (isRight && secret !== null && role !== null) {
      rateLimit.recordSuccess(from.address, user)
      return { kind: 'known', name: user, role }
    }
  } catch (error) {
    if (!(error instanceof PgSplitError)) throw error
    // Who may not come from here is not told that it exists.
    if (!error.sqlstate.startsWith('28')) return { kind: 'failed', why: error.message }
  }
  rateLimit.recordFailure(from.address, user)
  return { kind: 'unknown', why: refused }
}

/** Whose check takes as long whether the user is there or not, and whatever is known of its password. */
async function verifierOf(
  user: string,
  secret: StoredSecret | null,
  { mockVerifiers }: { readonly mockVerifiers: MockVerifiers },
): Promise<StoredSecret> {
  if (secret === null) return { kind: 'scram', verifier: mockVerifiers.for(user) }
  if (secret.kind !== 'password') return secret
  return { kind: 'scram', verifier: await mockVerifiers.forPassword(user, secret.password) }
}
