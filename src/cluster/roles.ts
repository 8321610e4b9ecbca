import { type Identity, identityOf, type Wanted } from '../auth/identity.ts'
import { IdentityLookup } from '../auth/identity-lookup.ts'
import { arrayText, identitySql, type PasswordSource } from '../auth/identity-sql.ts'
import { roleSecret } from '../auth/role-secret.ts'
import { parseStoredSecret, passwordSecret, type StoredSecret } from '../auth/stored-secret.ts'
import { type Applicant, type Authenticator, type LoginAttempt, refusal } from '../client/login.ts'
import type { AuthConfig } from '../config/config.ts'
import { PgSplitError } from '../errors.ts'
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

  constructor(cluster: Cluster) {
    this.#cluster = cluster
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
    return { ...roleSecret(user, own), identity }
  }

  /**
   * Who the client is that has authenticated: as was found when it began or, when that is some time
   * ago, as it is now. Rejects with 28P01 where the name has become another role's meanwhile.
   */
  async stillIs(user: string, database: string, known: Identity): Promise<Identity> {
    if (performance.now() - known.askedAtMs < staleAfterMs) return known
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
    const { lookup } = this.#auth
    const atMs = performance.now()
    const ask = async (source: PasswordSource): Promise<readonly Identity[]> => {
      const rows = await questions.askAgain(identitySql(source), types, names)
      return rows.map((row) => identityOf(row, atMs))
    }
    if (this.#unreadable !== null && atMs < this.#unreadableUntilMs) return ask(off)
    try {
      const identities = await ask(lookup)
      this.#unreadable = null
      return identities
    } catch (error) {
      const isUnreadable = error instanceof PgSplitError && /^(42|3F)/.test(error.sqlstate)
      if (!isUnreadable || lookup.kind === 'off') throw error
      const identities = await ask(off)
      this.#unreadableUntilMs = atMs + retryMs
      this.#unreadable = new PgSplitError(
        {
          sqlstate: '57P03',
          message: 'cannot look up roles: the monitor may not read their passwords',
          hint: 'See auth.lookup in the documentation of pgsplit; its log has the reason.',
          severity: 'FATAL',
        },
        error,
      )
      return identities
    }
  }
}

const types = ['text[]', 'text[]']
const off: PasswordSource = { kind: 'off' }
