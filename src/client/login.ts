import { randomBytes } from 'node:crypto'
import type { AuthRateLimit } from '../auth/auth-rate-limit.ts'
import { type Credential, credential, noCredential } from '../auth/credential.ts'
import type { Identity } from '../auth/identity.ts'
import { isMd5Response, md5Hash } from '../auth/md5.ts'
import type { MockVerifiers } from '../auth/mock-verifier.ts'
import { ScramServer, scramMechanisms } from '../auth/scram-server.ts'
import type { StoredSecret } from '../auth/stored-secret.ts'
import { PgSplitError, ProtocolError } from '../errors.ts'
import type { LoginChannel } from '../server/login-channel.ts'
import { Cursor } from '../wire/cursor.ts'
import { frontend } from '../wire/message-types.ts'
import {
  authenticationMd5,
  authenticationSasl,
  authenticationSaslContinue,
  authenticationSaslFinal,
} from './authentication-messages.ts'

export type LoginMethod = 'scram-sha-256' | 'md5' | 'trust' | 'cert'

/** What is known of somebody who wants in. */
export interface Applicant {
  /** Null: there is no such user, or it has no password that counts. */
  readonly secret: StoredSecret | null
  /** Why it has none, for the log only. */
  readonly why: string | null
  /** Who that is at the servers; null where no server is concerned. */
  readonly identity: Identity | null
}

/** Where users' secrets come from. */
export interface Authenticator {
  /** Rejects when nobody can say, and with a refusal where the client comes from the wrong place. */
  find(attempt: LoginAttempt): Promise<Applicant>
  /** Throws when nobody can say whether a password of this user is right. */
  assertReadable?(user: string, database: string): void
}

/** Who has proved to be whom. */
export interface Authenticated {
  /** What the log-in may use at servers. */
  readonly credential: Credential
  readonly identity: Identity | null
}

export interface ClientLoginOptions {
  readonly method: LoginMethod
  readonly authenticator: Authenticator
  readonly rateLimit: AuthRateLimit
  readonly mockVerifiers: MockVerifiers
}

/** Who wants in, and over what. */
export interface LoginAttempt {
  readonly user: string
  readonly database: string
  readonly address: string
  /** It wants the WAL, not a database. */
  readonly isPhysical: boolean
  readonly isTls: boolean
  /** It has shown a certificate of an authority that is trusted. */
  readonly hasCertificate: boolean
  /** `application_name` as the client gives it; '' = none. */
  readonly application: string
  /** tls-server-end-point hash of our certificate; null: no TLS. */
  readonly endPointHash: Buffer | null
  /** Common name of the client's verified certificate; null: it showed none. */
  readonly certificateName: string | null
  /** It has answered the first request. */
  readonly onAnswer?: () => void
}

/** PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH, about. */
const maxAuthMessageBytes = 65_536

/**
 * Authenticates a client, up to but without AuthenticationOk. Rejects with a FATAL PgSplitError; for
 * an unknown user and for a wrong password it is the same, after the same exchange, and the reason
 * is its cause, for the log.
 */
export async function authenticate(
  channel: LoginChannel,
  attempt: LoginAttempt,
  options: ClientLoginOptions,
): Promise<Authenticated> {
  const { method, authenticator, rateLimit } = options
  const { user, database, address } = attempt
  if (method === 'cert' && attempt.certificateName !== user) {
    throw refusal('28000', `certificate authentication failed for user "${user}"`)
  }
  if (method === 'trust' || method === 'cert') {
    const { secret, identity } = await channel.during(authenticator.find(attempt))
    return { credential: secret === null ? noCredential : withoutProof(secret), identity }
  }
  assertNotLimited(rateLimit, attempt)
  const { secret, why, identity } = await channel.during(authenticator.find(attempt))
  authenticator.assertReadable?.(user, database)
  let proved: Credential | null
  try {
    proved =
      method === 'md5' && secret?.kind !== 'scram'
        ? await proveMd5(channel, attempt, options, secret)
        : await proveScram(channel, attempt, options, secret)
  } catch (error) {
    if (error instanceof ProtocolError) rateLimit.recordFailure(address, user)
    throw error
  }
  if (proved === null) {
    rateLimit.recordFailure(address, user)
    const message = `password authentication failed for user "${user}"`
    const cause = new Error(why ?? unfit(user, method, secret))
    throw new PgSplitError({ sqlstate: '28P01', message, severity: 'FATAL' }, cause)
  }
  rateLimit.recordSuccess(address, user)
  return { credential: proved, identity }
}

/** Why a user's secret let nobody in. */
function unfit(user: string, method: LoginMethod, secret: StoredSecret | null): string {
  if (method === 'scram-sha-256' && secret?.kind === 'md5') {
    return `The password of user "${user}" is stored as md5, with which SCRAM can't be done: set it anew with password_encryption = scram-sha-256, or use auth.method md5.`
  }
  return `Password does not match for user "${user}".`
}

async function proveScram(
  channel: LoginChannel,
  attempt: LoginAttempt,
  { mockVerifiers, rateLimit }: ClientLoginOptions,
  secret: StoredSecret | null,
): Promise<Credential | null> {
  const { user, endPointHash } = attempt
  const mock = mockVerifiers.for(user)
  let verifier = mock
  if (secret?.kind === 'scram') verifier = secret.verifier
  else if (secret?.kind === 'password') {
    verifier = await mockVerifiers.forPassword(user, secret.password)
  }
  const scram = new ScramServer({ verifier, isMock: verifier === mock, endPointHash })
  channel.send(authenticationSasl(scramMechanisms(endPointHash)))
  const initial = cursorOf(await readPassword(channel))
  attempt.onAnswer?.()
  const mechanism = initial.string()
  const size = initial.int32()
  let first: Buffer
  if (size === -1) {
    // Allowed by SASL: the first message follows an empty challenge.
    initial.assertEnd()
    channel.send(authenticationSaslContinue(''))
    first = await readPassword(channel)
  } else {
    first = initial.bytes(size)
    initial.assertEnd()
  }
  channel.send(authenticationSaslContinue(scram.first(mechanism, first.toString('utf8'))))
  const final = await readPassword(channel)
  // Again: of many log-ins begun at the same time no more may be judged than of those in a row.
  assertNotLimited(rateLimit, attempt)
  const outcome = scram.final(final.toString('utf8'))
  if (!outcome.ok) return null
  channel.send(authenticationSaslFinal(outcome.serverFinal))
  if (secret?.kind === 'password') return withoutProof(secret)
  return credential({ kind: 'scram-keys', ...outcome.keys })
}

async function proveMd5(
  channel: LoginChannel,
  attempt: LoginAttempt,
  { mockVerifiers, rateLimit }: ClientLoginOptions,
  secret: StoredSecret | null,
): Promise<Credential | null> {
  const { user } = attempt
  const salt = randomBytes(4)
  channel.send(authenticationMd5(salt))
  const cursor = cursorOf(await readPassword(channel))
  const response = cursor.string()
  cursor.assertEnd()
  assertNotLimited(rateLimit, attempt)
  const mock = `md5${mockVerifiers.for(user).storedKey.toString('hex', 0, 16)}`
  let hash = mock
  if (secret?.kind === 'md5') hash = secret.hash
  else if (secret?.kind === 'password') hash = md5Hash(user, secret.password)
  const isProved = isMd5Response(response, hash, salt)
  return isProved && secret !== null ? withoutProof(secret) : null
}

/** Every answer of a client to an authentication request is of this type. */
async function readPassword(channel: LoginChannel): Promise<Buffer> {
  // Judged before its length: a second StartupMessage has none where it would be looked for.
  const type = await channel.peekByte()
  if (type === frontend.password) return (await channel.readMessage(maxAuthMessageBytes)).body
  const hex = type.toString(16).padStart(2, '0')
  throw new ProtocolError(`expected a password message, got one of type 0x${hex}`)
}

function cursorOf(body: Buffer): Cursor {
  return new Cursor(body, 0, body.length)
}

function assertNotLimited(rateLimit: AuthRateLimit, { address, user }: LoginAttempt): void {
  const waitMs = rateLimit.waitMs(address, user)
  if (waitMs === 0) return
  throw refusal(
    '28000',
    'too many failed log-ins from this address or of this user',
    `Try again in ${Math.ceil(waitMs / 1_000)} s.`,
  )
}

/** What a secret is good for at servers when the client has proved nothing that we can use. */
function withoutProof(secret: StoredSecret): Credential {
  switch (secret.kind) {
    case 'password':
      return credential({ kind: 'password', password: secret.password })
    case 'md5':
      return credential({ kind: 'md5-hash', hash: secret.hash })
    case 'scram':
      return noCredential
    default:
      secret satisfies never
      return noCredential
  }
}

export function refusal(sqlstate: string, message: string, hint?: string): PgSplitError {
  const facts = { sqlstate, message, severity: 'FATAL' } as const
  return new PgSplitError(hint === undefined ? facts : { ...facts, hint })
}
