import { type Identity, identityOf, type Wanted } from '../auth/identity.ts'
import { IdentityLookup } from '../auth/identity-lookup.ts'
import { arrayText, identitySql, type PasswordSource } from '../auth/identity-sql.ts'
import { type Unreadable, unreadableFailure } from '../auth/lookup-failure.ts'
import { chooseSource, lookupSourceSql, type NoSource } from '../auth/lookup-source.ts'
import { roleSecret } from '../auth/role-secret.ts'
import { parseStoredSecret, passwordSecret, type StoredSecret } from '../auth/stored-secret.ts'
import { type Applicant, type Authenticator, type LoginAttempt, refusal } from '../client/login.ts'
import type { AuthConfig } from '../config/config.ts'
import { PgSplitError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { nowMs } from '../net/turn-clock.ts'
import { ClientAccess } from './client-access.ts'
import type { Cluster } from './cluster.ts'

/** A client that took longer to prove itself, or waited for the end of a pause, is looked at again, ms. */
const staleAfterMs = 1_000
/** Passwords that could not be read are tried again after this time, ms. */
const retryMs = 5_000

/**
 * Who may log in at a cluster: the users of the configuration, and, unless the look-up is off, every
 * role of the cluster, by the verifier that the monitor's own credential can read. Who they are is
 * asked of the cluster for all of them.
 */
export class Roles implements Authenticator {
  readonly #auth: AuthConfig
  readonly #listed = new Map<string, StoredSecret>()
  readonly #lookup: IdentityLookup
  readonly #cluster: Cluster
  readonly access: ClientAccess
  /** Why passwords could not be read at the last question; null: they could. */
  #unreadable: PgSplitError | null = null
  #unreadableUntilMs = 0
  /** What `auto` has come to, and until when that counts. */
  #chosen: { readonly source: PasswordSource | NoSource; readonly untilMs: number } | null = null
  /** Where passwords were read last. */
  #source: PasswordSource = off
  readonly #logger: Logger
  /** What the log was told last of passwords that can't be read. */
  #told = ''

  constructor(cluster: Cluster, logger: Logger) {
    this.#cluster = cluster
    this.#logger = logger
    this.#auth = cluster.config.auth
    this.access = new ClientAccess(this.#auth, cluster.questions)
    for (const user of this.#auth.users) {
      const secret =
        user.password !== undefined
          ? passwordSecret(user.password.reveal())
          : user.verifier === undefined
            ? null
            : parseStoredSecret(user.verifier.reveal())
      if (secret !== null) this.#listed.set(user.name, secret)
    }
    this.#lookup = new IdentityLookup({
      query: (wanted) => this.#ask(wanted),
      place: () => cluster.questions.place,
      version: () => cluster.identityVersion,
    })
  }

  /** Also for a database that is pgsplit's own: then nobody is told of as being there. */
  async find(attempt: LoginAttempt): Promise<Applicant> {
    const { user, database } = attempt
    const rejected = this.access.refusal(attempt)
    if (rejected !== null) throw rejected
    const serverUser = this.serverUser(user)
    const listed = this.#listed.get(user)
    const asked = this.#lookup.find({ role: serverUser, database })
    const askedOwn = serverUser === user ? asked : this.#lookup.find({ role: user, database })
    const [own, identity] = await Promise.all([askedOwn, asked])
    const hba = await this.access.hbaRefusal({ ...attempt, user: serverUser }, identity)
    if (hba !== null) throw hba
    if (listed !== undefined) return { secret: listed, why: null, identity }
    return { ...roleSecret(user, own, this.#source.kind !== 'function'), identity }
  }

  /**
   * Who the client is that has authenticated: as was found when it began or, when that is some time
   * ago, as it is now. Rejects with 28P01 where the name has become another role's meanwhile.
   */
  async stillIs(user: string, database: string, known: Identity): Promise<Identity> {
    if (nowMs() - known.askedAtMs < staleAfterMs) return known
    const identity = await this.#lookup.find({ role: this.serverUser(user), database })
    if (identity.role !== null && identity.role.oid !== known.role?.oid) {
      throw refusal('28P01', `password authentication failed for user "${user}"`)
    }
    return identity
  }

  /** The role that logs in at the servers for this user. */
  serverUser(user: string): string {
    return this.#auth.users.find(({ name }) => name === user)?.serverUser ?? user
  }

  /** Rejects where nobody can say whether the user's password is right. */
  assertReadable(user: string): void {
    if (this.#unreadable !== null && !this.#listed.has(user)) throw this.#unreadable
  }

  async #ask(wanted: readonly Wanted[]): Promise<readonly Identity[]> {
    const names = [
      arrayText(wanted.map(({ role }) => role)),
      arrayText(wanted.map(({ database }) => database)),
    ]
    const { questions } = this.#cluster
    const atMs = nowMs()
    const ask = async (source: PasswordSource): Promise<readonly Identity[]> => {
      const rows = await questions.askAgain(identitySql(source), types, names)
      this.#source = source
      return rows.map((row) => identityOf(row, atMs))
    }
    if (this.#unreadable !== null && atMs < this.#unreadableUntilMs) return ask(off)
    const source = await this.#chooseSource(atMs)
    if (typeof source === 'string') {
      const identities = await ask(off)
      this.#noteUnreadable(source, atMs)
      return identities
    }
    try {
      const identities = await ask(source)
      this.#unreadable = null
      this.#told = ''
      return identities
    } catch (error) {
      const isUnreadable = error instanceof PgSplitError && /^(42|3F)/.test(error.sqlstate)
      if (!isUnreadable || source.kind === 'off') throw error
      const identities = await ask(off)
      this.#noteUnreadable(error, atMs)
      return identities
    }
  }

  /** Looked at again now and then: the function may come and go, and who made it may change. */
  async #chooseSource(atMs: number): Promise<PasswordSource | NoSource> {
    const { lookup } = this.#auth
    if (lookup.kind !== 'auto') return lookup
    if (this.#chosen === null || atMs >= this.#chosen.untilMs) {
      const [row] = await this.#cluster.questions.askAgain(lookupSourceSql)
      this.#chosen = { source: chooseSource(row ?? {}), untilMs: atMs + retryMs }
    }
    return this.#chosen.source
  }

  #noteUnreadable(why: Unreadable['why'], atMs: number): void {
    const { lookup, users } = this.#auth
    const cluster = this.#cluster.name
    const { error, text } = unreadableFailure({ lookup, why }, this.#cluster.questions.place)
    this.#unreadable = error
    this.#unreadableUntilMs = atMs + retryMs
    // Once, not for every client; where passwords are not asked for, it keeps nobody out.
    if (!this.#asksPasswords || this.#told === text) return
    this.#told = text
    const whom = users.length === 0 ? 'nobody can log in' : 'only users of auth.users can log in'
    this.#logger.warn(
      { event: 'lookup_unusable', cluster, reason: 'configuration' },
      `${whom}: ${text}`,
    )
  }

  get #asksPasswords(): boolean {
    const { method } = this.#auth
    return method === 'scram-sha-256' || method === 'md5'
  }

  /** Finds out at the start, not with the first client, whether passwords can be read. */
  async tryLookup(): Promise<void> {
    if (this.#auth.lookup.kind === 'off' || !this.#asksPasswords) return
    const { user, database } = this.#cluster.questions.place
    // Where nobody answers, that is in the log already.
    await this.#lookup.find({ role: user, database }).catch(() => {})
  }
}

const types = ['text[]', 'text[]']
const off: PasswordSource = { kind: 'off' }
