import type { AuthRateLimit } from '../auth/auth-rate-limit.ts'
import { type Credential, credential, noCredential } from '../auth/credential.ts'
import { admissionRefusal } from '../auth/identity.ts'
import type { MockVerifiers } from '../auth/mock-verifier.ts'
import { parseStoredSecret, passwordSecret, type StoredSecret } from '../auth/stored-secret.ts'
import type { Authenticator, LoginAttempt } from '../client/login.ts'
import type { LoginGate } from '../client/login-gate.ts'
import type { ClientSession } from '../client/session.ts'
import { acceptClient, type ClientLogin } from '../client/startup.ts'
import type { Config } from '../config/config.ts'
import { PgSplitError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Link } from '../net/link.ts'
import type { ClientTls } from '../net/tls-options.ts'
import { nowMs } from '../net/turn-clock.ts'
import { errorResponse } from '../wire/backend-messages.ts'
import { AdminKeys } from './admin-keys.ts'
import type { Cluster } from './cluster.ts'
import { grantOf, replicationRefused } from './grant-of.ts'
import { LoginLog } from './login-log.ts'
import type { Roles } from './roles.ts'
import { type CancelKeys, type Grant, startSession } from './start-session.ts'
import { openTunnel } from './tunnel.ts'
import { TurnedAway } from './turned-away.ts'

export interface FrontDoorOptions {
  readonly config: Config
  readonly logger: Logger
  readonly clusters: readonly Cluster[]
  readonly roles: ReadonlyMap<Cluster, Roles>
  readonly tls: ClientTls
  readonly rateLimit: AuthRateLimit
  readonly mockVerifiers: MockVerifiers
  readonly gate: LoginGate
  readonly cancelKeys: CancelKeys
  readonly openAdmin: (door: FrontDoor, login: ClientLogin, onClose: () => void) => void
}

/** Takes clients in: log-in, which cluster, how many, and the session that follows. */
export class FrontDoor {
  options: FrontDoorOptions
  readonly adminKeys = new AdminKeys()
  readonly sessions = new Set<ClientSession>()
  /** All listeners accept. */
  isOpen = false
  isDraining = false
  /** Clients that have logged in and were let in, since the start. */
  logins = 0
  #clients = 0
  readonly #adminLinks = new Set<Link>()
  readonly #log: LoginLog
  readonly #turnedAway = new TurnedAway()
  #onEmpty: (() => void) | null = null

  constructor(options: FrontDoorOptions) {
    this.options = options
    this.#log = new LoginLog(options.logger)
  }

  /** Log-ins that came to nothing, by SQLSTATE or `internal`. */
  get loginFailures(): ReadonlyMap<string, number> {
    return this.#log.failures
  }

  get clients(): number {
    return this.#clients
  }

  accept(link: Link): void {
    void this.#accept(link).catch((error: unknown) => {
      this.options.logger.error(
        { event: 'client_failed', reason: 'internal', error },
        'client failed',
      )
      link.destroy()
    })
  }

  /** No descriptor is left for another client: says so, while that can be said. */
  turnAway(link: Link, limit: number): void {
    const error = new PgSplitError({
      sqlstate: '53300',
      message: `too many clients: nearly all of the ${limit} files that pgsplit may open are in use`,
      hint: 'Raise its limit of open files (ulimit -n).',
    })
    const address = link.remoteAddress
    this.#log.note('login_refused', { user: null, address, reason: '53300' }, error.message)
    this.#turnedAway.add(link, errorResponse(error.facts('FATAL')))
  }

  async #accept(link: Link): Promise<void> {
    const { options } = this
    const outcome = await acceptClient(link, {
      method: this.#method(),
      authenticator: this.#authenticator(),
      rateLimit: options.rateLimit,
      mockVerifiers: options.mockVerifiers,
      tls: options.tls.mode === 'disable' ? null : options.tls,
      gate: options.gate,
      authTimeoutMs: options.config.limits.authTimeoutMs,
      // The client goes on when its connection closes, and relies on the signal having been sent.
      onCancel: (processId, key) => {
        this.adminKeys.cancel(processId, key)
        return options.cancelKeys.find(processId, key)?.cancel()
      },
    })
    if (outcome.kind === 'refused') {
      const { user, error } = outcome
      const address = link.remoteAddress
      const facts = { user, address, reason: sqlstateOf(error), ...detailOf(error) }
      this.#log.note('login_refused', facts, error.message)
    }
    if (outcome.kind !== 'login') return
    try {
      await this.#enter(outcome)
    } catch (error) {
      const facts =
        error instanceof PgSplitError
          ? error.facts('FATAL')
          : ({ sqlstate: 'XX000', message: String(error), severity: 'FATAL' } as const)
      const { user, database } = outcome
      const address = link.remoteAddress
      this.#log.note(
        'login_failed',
        { user, database, address, reason: facts.sqlstate },
        facts.message,
      )
      outcome.link.write(errorResponse(facts))
      outcome.link.end()
    }
  }

  #method() {
    return (this.options.clusters[0] as Cluster).config.auth.method
  }

  /** The cluster whose list names the database, else the one that takes any. */
  clusterOf(database: string): Cluster | null {
    const { clusters } = this.options
    return (
      clusters.find(({ config }) => config.databases.includes(database)) ??
      clusters.find(({ config }) => config.databases.includes('*')) ??
      null
    )
  }

  #authenticator(): Authenticator {
    const { config, clusters, roles } = this.options
    const rolesOf = (database: string): Roles | undefined => {
      const cluster =
        (database === config.admin.database ? null : this.clusterOf(database)) ?? clusters[0]
      return cluster === undefined ? undefined : roles.get(cluster)
    }
    return {
      find: async (attempt) => {
        const { user, database } = attempt
        const isAdmin = database === config.admin.database
        const secret = isAdmin ? this.#adminSecret(user) : undefined
        if (secret !== undefined) {
          const refusal = rolesOf(database)?.access.refusal(attempt) ?? null
          if (refusal !== null) throw refusal
          const why = secret === null ? `User "${user}" is not listed under admin.users.` : null
          return { secret, why, identity: null }
        }
        const found = await rolesOf(database)?.find(attempt)
        if (found === undefined)
          throw new Error('unreachable: there is no pgsplit without a cluster')
        return isAdmin ? { ...found, identity: null } : found
      },
      assertReadable: (user, database) => {
        const isOwn = database === config.admin.database && this.#adminSecret(user) !== undefined
        if (!isOwn) rolesOf(database)?.assertReadable(user)
      },
    }
  }

  /** What a user may do in the admin database; null: nothing. */
  roleOf(user: string): 'operator' | 'reader' | null {
    const { users, readers } = this.options.config.admin
    if (users.some(({ name }) => name === user)) return 'operator'
    return readers.some(({ name }) => name === user) ? 'reader' : null
  }

  /**
   * The secret of an administrator who logs in from elsewhere than the admin database. Rejects as its
   * log-in would: with a refusal, or when nobody can say.
   */
  async secretOf(
    user: string,
    from: Pick<LoginAttempt, 'address' | 'isTls' | 'hasCertificate'>,
  ): Promise<StoredSecret | null> {
    const { database } = this.options.config.admin
    const { assertReadable, find } = this.#authenticator()
    const unproved = {
      isPhysical: false,
      application: '',
      endPointHash: null,
      certificateName: null,
    }
    const { secret } = await find({ user, database, ...from, ...unproved })
    assertReadable?.(user, database)
    return secret
  }

  /** undefined: a listed admin without a secret of its own, who logs in as at the cluster. */
  #adminSecret(user: string): StoredSecret | null | undefined {
    const { users, readers } = this.options.config.admin
    const admin = [...users, ...readers].find(({ name }) => name === user)
    if (admin === undefined) return null
    if (admin.password !== undefined) return passwordSecret(admin.password.reveal())
    if (admin.verifier !== undefined) return parseStoredSecret(admin.verifier.reveal())
    return undefined
  }

  async #enter(login: ClientLogin): Promise<void> {
    const { config, logger, cancelKeys } = this.options
    if (this.isDraining) {
      throw new PgSplitError({ sqlstate: '57P03', message: 'pgsplit is shutting down' })
    }
    if (login.database === config.admin.database) {
      if (this.roleOf(login.user) === null) {
        throw new PgSplitError({
          sqlstate: '42501',
          message: `user "${login.user}" is not an administrator of pgsplit`,
          hint: 'List the user under admin.users, or under admin.readers.',
        })
      }
      this.#adminLinks.add(login.link)
      this.options.openAdmin(this, login, () => this.#adminLinks.delete(login.link))
      return
    }
    const cluster = this.clusterOf(login.database)
    if (cluster === null) {
      throw new PgSplitError({
        sqlstate: '3D000',
        message: `no cluster of pgsplit has a database "${login.database}"`,
        hint: 'List it under clusters.<name>.databases.',
      })
    }
    if (this.#clients >= config.limits.maxClients) {
      throw new PgSplitError({
        sqlstate: '53300',
        message: `too many clients: ${this.#clients} are connected`,
        hint: 'Raise limits.maxClients.',
      })
    }
    this.#clients++
    try {
      await this.#startSession(cluster, login, cancelKeys, logger)
      this.logins++
    } catch (error) {
      this.#clients--
      throw error
    }
  }

  async #startSession(
    cluster: Cluster,
    login: ClientLogin,
    cancelKeys: CancelKeys,
    logger: Logger,
  ): Promise<void> {
    // A server is needed already for the first answer.
    if (cluster.isPaused) await cluster.untilResumed()
    const listed = cluster.config.auth.users.find(({ name }) => name === login.user)
    const serverUser = listed?.serverUser ?? login.user
    const using =
      listedCredential(cluster, login.user) ??
      (serverUser === login.user ? login.credential : noCredential)
    const grant = grantOf(cluster, this.options.roles.get(cluster), login)
    const leave = grant.use.enter(login.user, grant.grants.limits.connections)
    try {
      if (login.replication !== 'none') {
        if (grant.grants.access === 'read') throw replicationRefused
        await openTunnel(cluster, using, serverUser, login, () => {
          leave()
          this.#clients--
        })
        return
      }
      await this.#startPooled(cluster, login, cancelKeys, logger, {
        using,
        serverUser,
        grant,
        leave,
      })
    } catch (error) {
      leave()
      throw error
    }
  }

  async #startPooled(
    cluster: Cluster,
    login: ClientLogin,
    cancelKeys: CancelKeys,
    logger: Logger,
    given: {
      readonly using: Credential
      readonly serverUser: string
      readonly grant: Grant
      readonly leave: () => void
    },
  ): Promise<void> {
    const { using, serverUser, grant, leave } = given
    const { user, database } = login
    const roles = this.options.roles.get(cluster)
    if (login.identity === null || roles === undefined) {
      throw new Error('unreachable: every client of a cluster is somebody there')
    }
    const identity = await roles.stillIs(user, database, login.identity)
    const wanted = { role: serverUser, database }
    const refusal = admissionRefusal(identity, wanted)
    if (refusal !== null) throw refusal
    const scope = cluster.scope(user, database, serverUser, using, identity)
    if (scope === null) throw new Error('unreachable: without role or database nobody is admitted')
    // Until the session takes over, a client that leaves must be noticed.
    let isGone = false
    login.link.onClose = () => {
      isGone = true
    }
    if (identity.database?.hasLoginTrigger === true) await scope.knock()
    const session = await startSession(cluster, scope, login, grant, cancelKeys, (closed) => {
      leave()
      this.#clients--
      this.sessions.delete(closed)
      logger.debug({ event: 'client_closed', client: closed.id, reason: 'closed' }, 'client closed')
      if (this.sessions.size === 0) this.#onEmpty?.()
    })
    this.sessions.add(session)
    if (isGone) session.close()
    logger.debug(
      { event: 'client_ready', client: session.id, user: login.user, database: login.database },
      'client logged in',
    )
  }

  /** Goes on with another configuration: who logs in from now on finds it. */
  reconfigure(part: Pick<FrontDoorOptions, 'config' | 'tls' | 'roles' | 'mockVerifiers'>): void {
    this.options = { ...this.options, ...part }
    this.options.gate.max = part.config.limits.maxUnauthenticated
    for (const cluster of this.options.clusters) {
      for (const scope of cluster.scopes.values()) {
        scope.credential = listedCredential(cluster, scope.user) ?? scope.credential
      }
    }
  }

  /** Ends all sessions: idle ones at once, busy ones when they are done or after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    this.isDraining = true
    const endsAt = nowMs() + timeoutMs
    for (;;) {
      for (const session of [...this.sessions]) {
        if (session.isIdle || nowMs() >= endsAt) session.shutDown()
      }
      if (this.sessions.size === 0 || nowMs() >= endsAt) break
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 20)
        this.#onEmpty = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    for (const link of this.#adminLinks) link.end()
  }
}

/** What the configuration has for a user to log in with at the servers; null = nothing. */
function listedCredential(cluster: Cluster, user: string): Credential | null {
  const listed = cluster.config.auth.users.find(({ name }) => name === user)
  const own = listed?.serverPassword?.reveal() ?? listed?.password?.reveal()
  return own === undefined ? null : credential({ kind: 'password', password: own })
}

/** What only the log may tell. */
function detailOf({ cause }: Error): { readonly detail?: string } {
  return cause instanceof Error ? { detail: cause.message } : {}
}

function sqlstateOf(error: Error): string {
  return error instanceof PgSplitError ? error.sqlstate : 'internal'
}
