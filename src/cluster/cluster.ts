import type { Credential } from '../auth/credential.ts'
import type { Identity } from '../auth/identity.ts'
import type { ClusterAccess, SessionLimits } from '../client/cluster-access.ts'
import type { ClientSession } from '../client/session.ts'
import type { ClusterConfig, LimitsConfig } from '../config/config.ts'
import { ClusterCore, monitorTuningOf } from '../core/cluster-core.ts'
import { PgSplitError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { NodeRoom } from '../pool/node-room.ts'
import { DatabaseTally } from '../routing/database-tally.ts'
import type { SessionFacts } from '../routing/requirement.ts'
import type { Route } from '../routing/route.ts'
import { cancelServer } from '../server/cancel-request.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import type { Touched } from '../sql/touched-names.ts'
import { poolOptionsOf, sessionLimitsOf } from './cluster-options.ts'
import { DefaultsChange } from './defaults-change.ts'
import { GrantUses } from './grant-uses.ts'
import { Hubs } from './hubs.ts'
import { IdentityWatch } from './identity-watch.ts'
import { prepareNodes } from './node-changes.ts'
import { type NoteEvent, notedLog } from './noted-log.ts'
import { openServer } from './open-server.ts'
import { Pause } from './pause.ts'
import { QuestionLine } from './question-line.ts'
import { Scope } from './scope.ts'
import { ScopeIdentity } from './scope-identity.ts'
import type { RoleSetting } from './taken-roles.ts'

/** How long pools and statements of a user at a database are kept that nobody uses, ms. */
const forgetAfterMs = 60_000

const pausedRoute: Route = Object.freeze({
  node: null,
  target: 'primary',
  reason: 'the cluster is paused by the operator',
  word: 'other',
})

/** One cluster at work behind the proxy: the core, and pools. Sessions see it as `ClusterAccess`. */
export class Cluster extends ClusterCore<Scope> implements ClusterAccess {
  limits: SessionLimits
  /** By database, since the start: as many as clients have been let into. */
  readonly tallies = new Map<string, DatabaseTally>()
  readonly scopes: Map<string, Scope>
  /** By node: what the pools of all scopes share there. */
  readonly #rooms = new Map<number, NodeRoom>()
  readonly #hubs: Hubs
  readonly #defaults: DefaultsChange
  /** For questions about roles and databases. */
  readonly questions: QuestionLine
  /** Grows when roles or databases have changed, as far as is known. */
  identityVersion = 0
  readonly #identities: IdentityWatch
  readonly grantUses = new GrantUses(() => this.config.pool.checkoutTimeoutMs)
  readonly #pause: Pause
  readonly #log: Logger
  #nextGone = 1

  /** @param note is told what the log is told of nodes, catalogs and pauses, whatever its level */
  constructor(
    config: ClusterConfig,
    limits: LimitsConfig,
    logger: Logger,
    note: NoteEvent = () => {},
  ) {
    const log = logger.child({ cluster: config.name })
    const scopes = new Map<string, Scope>()
    const events = notedLog(log, config.name, note)
    super({ config, log: events, drainTimeoutMs: limits.drainTimeoutMs, uses: scopes })
    this.#log = log
    this.scopes = scopes
    this.limits = sessionLimitsOf(config, limits)
    this.#pause = new Pause({
      cluster: config.name,
      scopes,
      timeoutMs: () => this.limits.pauseMs,
      onEnd: () => this.news.tell(),
    })
    this.#hubs = new Hubs(this, log)
    this.monitor.onSnapshot((snapshot) => this.#hubs.follow(snapshot))
    this.#defaults = new DefaultsChange({
      scopes,
      sampler: this.sampler,
      snapshot: () => this.monitor.snapshot,
      nowMs: () => this.nowMs(),
    })
    this.questions = new QuestionLine(this)
    this.#identities = new IdentityWatch({
      questions: this.questions,
      hasPrimary: () => this.snapshot.primary !== null,
      scopes,
      log,
      onChange: () => this.identityVersion++,
      onOutdated: (outdated) => {
        this.settings.noteDefaults()
        this.#defaults.note(outdated)
      },
      onGone: (scope, why) => {
        const { user, database } = scope
        log.info({ event: 'scope_gone', user, database, reason: 'dropped' }, why)
        scope.bury(why)
      },
      onLocked: (database) => this.vacate(database),
    })
    this.#identities.start()
  }

  /**
   * Goes on with another configuration. Throws ConfigError when it can't, and nothing has changed;
   * what it returns puts the change in force and never fails.
   */
  prepare(config: ClusterConfig, limits: LimitsConfig): () => void {
    const changeNodes = prepareNodes(this, config)
    return () => {
      this.limits = sessionLimitsOf(config, limits)
      this.reconfigure(config, limits.drainTimeoutMs)
      for (const scope of this.scopes.values()) scope.reconfigure(poolOptionsOf(config, scope))
      changeNodes()
      this.monitor.retune(monitorTuningOf(config))
    }
  }

  set logLevel(level: string) {
    this.#log.level = level
  }

  get isPaused(): boolean {
    return this.#pause.isOn
  }

  /** See `Pause.begin`. */
  async pause(signal: AbortSignal): Promise<void> {
    this.eventLog.info({ event: 'pausing', reason: 'operator' }, 'requests are held back')
    try {
      await this.#pause.begin(signal)
    } catch (error) {
      const facts = { event: 'pause_failed', reason: 'operator', error }
      this.eventLog.warn(facts, 'PAUSE was taken back')
      throw error
    }
    this.eventLog.info({ event: 'paused', reason: 'operator' }, 'nothing runs any more')
  }

  resume(): void {
    if (!this.#pause.isOn) return
    this.#pause.end()
    this.eventLog.info({ event: 'resumed', reason: 'operator' }, 'requests go on')
  }

  /** Resolves when the cluster is not paused. Rejects with 57P03 when that takes too long. */
  untilResumed(): Promise<void> {
    return this.#pause.over()
  }

  override async stop(): Promise<void> {
    this.#pause.end()
    this.#defaults.stop()
    this.#identities.stop()
    this.questions.leave()
    this.#hubs.close()
    const error = new PgSplitError({ sqlstate: '57P01', message: 'pgsplit is shutting down' })
    for (const scope of this.scopes.values()) scope.close(error)
    await super.stop()
  }

  override route(cls: StatementClass, facts: SessionFacts, exclude: number): Route {
    return this.#pause.isOn ? pausedRoute : super.route(cls, facts, exclude)
  }

  vacate(database: string): void {
    for (const scope of this.scopes.values()) if (scope.database === database) scope.recycle()
    this.leaveCatalog(database)
    this.#hubs.rest(database)
  }

  override noteDefaultsChange(): void {
    super.noteDefaultsChange()
    this.#defaults.note()
  }

  protected override renewReplicasOf(scope: Scope, database: string): void {
    if (scope.database === database) super.renewReplicasOf(scope, database)
  }

  override noteDdl(database: string, touches: Touched): void {
    super.noteDdl(database, touches)
    this.noteIdentityChange()
  }

  /** Roles or databases may have changed: what is known of them is asked again. */
  noteIdentityChange(): void {
    this.identityVersion++
    this.#identities.hurry()
  }

  /** Who that is is asked at once: later the name may be somebody else's. */
  noteTakenRole(session: ClientSession, setting: RoleSetting): void {
    this.#identities.noteTaken(session, setting)
  }

  async cancel(connection: ServerConnection): Promise<void> {
    try {
      await cancelServer({
        target: this.node(connection.nodeIndex),
        processId: connection.processId,
        secretKey: connection.secretKey,
        tls: this.tls(connection.nodeIndex),
      })
    } catch (error) {
      this.#log.warn(
        { event: 'cancel_failed', server: connection.id, node: connection.nodeId, error },
        'a cancel request did not reach its server',
      )
    }
  }

  /**
   * What sessions of `user` at `database` share, for as long as both are the same by OID;
   * `credential` logs in at the servers. Null when the cluster has no such role or database.
   */
  scope(
    user: string,
    database: string,
    serverUser: string,
    credential: Credential,
    identity: Identity,
  ): Scope | null {
    const found = ScopeIdentity.of(identity, serverUser)
    if (found === null) return null
    const key = `${user}\0${database}\0${found.role}\0${found.database}`
    let scope = this.scopes.get(key)
    if (scope?.isGone === true) {
      // The name has come back, and who was here before still has something to do.
      this.scopes.delete(key)
      this.scopes.set(`${key}\0${this.#nextGone++}`, scope)
      scope = undefined
    }
    if (scope === undefined) {
      // A scope of the same names has become one of the past.
      this.#identities.hurry()
      scope = new Scope({
        cluster: this,
        identity: found,
        user,
        database,
        catalog: this.catalog(database),
        hub: this.#hubs.of(database),
        poolOptions: poolOptionsOf(this.config, { user, database }),
        room: (nodeIndex) => this.#room(nodeIndex),
        open: (nodeIndex, using, events) =>
          openServer(this, nodeIndex, found, database, using, events),
        log: this.#log,
      })
      this.scopes.set(key, scope)
    } else if (identity.isCurrent && scope.identity.note(serverUser, identity.digest)) {
      this.settings.noteDefaults()
      this.#defaults.note([scope])
    }
    // The newest proof counts: the role's password may have changed.
    if (credential.kind !== 'none' || scope.credential.kind === 'none')
      scope.credential = credential
    return scope
  }

  tallyOf(database: string): DatabaseTally {
    let tally = this.tallies.get(database)
    if (tally === undefined) {
      tally = new DatabaseTally(this.counters)
      this.tallies.set(database, tally)
    }
    return tally
  }

  #room(nodeIndex: number): NodeRoom {
    let room = this.#rooms.get(nodeIndex)
    if (room === undefined) {
      room = new NodeRoom(
        () => this.members.at(nodeIndex)?.node.maxConnections ?? Number.POSITIVE_INFINITY,
      )
      this.#rooms.set(nodeIndex, room)
    }
    return room
  }

  protected override tidy(): void {
    this.#hubs.tidy()
    for (const [key, scope] of this.scopes) {
      scope.prune()
      scope.sendAway()
      const keepMs = scope.isGone ? 1 : forgetAfterMs
      if (scope.unusedMs(this.nowMs()) < keepMs) continue
      this.scopes.delete(key)
      scope.close(new Error('nobody has used it for a long time'))
    }
  }
}
