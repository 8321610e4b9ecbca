import type { ClusterCore } from '../../core/cluster-core.ts'
import type { DatabaseCatalog } from '../../core/database-catalog.ts'
import { PgSplitError } from '../../errors.ts'
import { catchUpUntilMs, mayLookAround, moveOnUntilMs } from '../../routing/patience.ts'
import { initialFacts } from '../../routing/requirement.ts'
import type { Route } from '../../routing/route.ts'
import { formatCausalToken, parseCausalToken } from '../../routing/watermark.ts'
import { NO_CATALOG } from '../../sql/classifier.ts'
import type { StatementClass } from '../../sql/statement-class.ts'
import type { NodeView } from '../../topology/node.ts'
import type { ContextOptions, Door, DoorSnapshot, DoorTransaction, SessionMode } from '../door.ts'
import { DoorError, noNode, notARead } from '../door-error.ts'
import type { Driver } from '../driver-pool.ts'
import { classOf, isRead, spoils } from '../judge-text.ts'
import { type DirectContext, newDirectContext, takeShared } from './direct-context.ts'
import { DirectTransaction } from './direct-transaction.ts'
import { doorSnapshot } from './door-snapshot.ts'
import { type FailedRun, judgeRead, judgeWrite } from './judge-failure.ts'
import type { Held, NodePools } from './node-pools.ts'
import { noteRead, noteSent, noteWritten } from './note-done.ts'
import { sqlstateOf, whyOf } from './server-error.ts'
import { READ_TRANSACTION, WRITE_SESSION } from './session-classes.ts'
import { waitForNews } from './wait-for-news.ts'

export interface DirectDoorOptions<Connection> {
  readonly core: ClusterCore
  readonly database: string
  readonly pools: NodePools<Connection>
  readonly driver: Driver<Connection>
  /** A read session that is given a write: refuse it, or run it on the primary. */
  readonly onWriteInReadSession: 'error' | 'primary'
}

/** What a statement wants of the node that it runs on. */
interface Wish {
  readonly context: DirectContext
  readonly cls: StatementClass
  /** Bit mask of nodes where it was in vain. */
  readonly exclude: number
  readonly isReadOnly: boolean
  /** When it came, monotonic ms. */
  readonly startMs: number
}

/** A request that goes nowhere is tried at most so often. */
const maxAttempts = 8
/** How long a causal token may be waited for, ms. */
const tokenWaitMs = 5_000

/**
 * The in-process door onto the nodes themselves: what the proxy does for a connection, done for each
 * statement by the same core.
 */
export class DirectDoor<Connection> implements Door<Connection, DirectContext> {
  readonly options: DirectDoorOptions<Connection>
  readonly ready: Promise<void>
  #catalog: DatabaseCatalog | null = null
  #isClosed = false
  #held = 0
  readonly process: DirectContext

  constructor(options: DirectDoorOptions<Connection>) {
    this.options = options
    const written = initialFacts()
    this.process = { ...newDirectContext({}, written, false), facts: written }
    this.ready = this.#start()
    // Whoever awaits it hears of it; nobody has to.
    this.ready.catch(() => {})
  }

  async #start(): Promise<void> {
    const { core, database } = this.options
    await core.start()
    // Only now is there a primary that it can be read from.
    const catalog = core.catalog(database)
    await catalog.ready
    this.#catalog = catalog
  }

  /** What statements are judged by. Only when the door is ready. */
  get catalog(): DatabaseCatalog {
    if (this.#catalog === null) throw new Error('unreachable: statements wait until it is there')
    return this.#catalog
  }

  newContext(options: ContextOptions): DirectContext {
    const { token, affinity, isForeignIgnored, isShared } = options
    const { routing } = this.options.core.config
    const { consistency = routing.consistency } = options
    const isPrimary = token === 'primary'
    const context = newDirectContext(
      {
        consistency,
        // Not by `consistency`: what it reads there gets a position, for the next token.
        routeSetting: isPrimary ? 'primary' : 'auto',
        causalWaitMs: routing.causalWaitMs,
        ...(affinity === undefined ? {} : { clientAddressHash: hashOf(affinity) }),
      },
      this.process.facts,
      isShared === true,
      isForeignIgnored === true,
    )
    // Whatever was acknowledged before lies behind any position that is asked for from now on: not even
    // a hint leads to a replica without it.
    if (isPrimary) this.options.core.positions.notePrimary(context.facts)
    else if (token !== undefined) this.raise(context, token)
    return context
  }

  raise(context: DirectContext, text: string): void {
    if (text === '') return
    const token = parseCausalToken(text)
    if (token === null) {
      throw new DoorError({
        sqlstate: '22023',
        message: `invalid causal token: "${text.slice(0, 64)}"`,
        hint: 'Give it what causalToken() or SHOW pgsplit.causal_token gave, such as 1/0/3000148@7312345678901234567.',
      })
    }
    const { systemIdentifier: cluster, timeline, lsn } = token
    if (cluster !== null) {
      context.expectedCluster = cluster
      this.#checkCluster(context)
    }
    context.patience.hasWritten = true
    this.options.core.positions.raise(context.facts, { timeline, lsn })
  }

  #checkCluster(context: DirectContext): void {
    const { expectedCluster } = context
    const { systemIdentifier } = this.options.core
    if (expectedCluster === null || systemIdentifier === null) return
    if (expectedCluster !== systemIdentifier) {
      throw new DoorError({
        sqlstate: '22023',
        message: 'the causal token is from another cluster',
        detail: `It names system identifier ${expectedCluster}; this cluster has ${systemIdentifier}.`,
        hint: 'A token counts only where it was given out, and in copies of that cluster by replication.',
      })
    }
    context.expectedCluster = null
  }

  /** A token that was taken before the cluster was known. */
  #checkLate(context: DirectContext): void {
    const { expectedCluster } = context
    const { systemIdentifier } = this.options.core
    if (!context.isForeignIgnored || expectedCluster === systemIdentifier) {
      this.#checkCluster(context)
    } else if (systemIdentifier !== null) {
      context.expectedCluster = null
      context.facts.watermark = null
    }
  }

  causalTokenNow(context: DirectContext): string | null {
    const { core } = this.options
    const { facts } = context
    if (context.expectedCluster !== null) this.#checkLate(context)
    takeShared(context, core.positions)
    if (!core.positions.settle(facts)) {
      core.positions.hurry(facts)
      return null
    }
    if (facts.watermark === null) return ''
    return formatCausalToken({ ...facts.watermark, systemIdentifier: core.systemIdentifier })
  }

  hasUsedPrimary(context: DirectContext): boolean {
    return context.hasUsedPrimary
  }

  async causalToken(context: DirectContext): Promise<string> {
    await this.ready
    const { core } = this.options
    const endMs = core.nowMs() + tokenWaitMs
    for (;;) {
      const token = this.causalTokenNow(context)
      if (token !== null) return token
      const leftMs = endMs - core.nowMs()
      if (leftMs <= 0 || this.#isClosed) {
        throw new DoorError({
          sqlstate: '57P03',
          message: 'no position is known that covers what this context has done',
          detail: `No node answered for ${tokenWaitMs} ms.`,
          hint: 'sessions.snapshot() tells what is wrong with each node; ask again when there is a primary.',
        })
      }
      await waitForNews((callback) => core.onNews(callback), leftMs)
    }
  }

  query<R>(
    mode: SessionMode,
    context: DirectContext,
    text: string,
    run: (connection: Connection) => Promise<R>,
  ): Promise<R> {
    try {
      const waiting = this.beReady(context)
      return waiting === undefined
        ? this.#judged(mode, context, text, run)
        : waiting.then(() => this.#judged(mode, context, text, run))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #judged<R>(
    mode: SessionMode,
    context: DirectContext,
    text: string,
    run: (connection: Connection) => Promise<R>,
  ): Promise<R> {
    const cls = classOf(this.catalog.classifier, text)
    this.options.core.counters.queries++
    if (mode === 'write') return this.#write(context, cls, run)
    if (isRead(cls)) return this.#read(context, cls, run)
    if (cls.reason === NO_CATALOG) return this.#readUnproved(context, run)
    if (this.options.onWriteInReadSession === 'error') throw notARead(cls.reason)
    return this.#write(context, cls, run)
  }

  begin(mode: SessionMode, context: DirectContext): DoorTransaction<Connection> {
    return new DirectTransaction(this, mode, context)
  }

  /** Before anything of this context is routed. */
  beReady(context: DirectContext): Promise<void> | undefined {
    if (this.#isClosed) throw closed()
    if (this.#catalog === null) return this.ready.then(() => this.beReady(context))
    if (context.expectedCluster !== null) this.#checkLate(context)
    takeShared(context, this.options.core.positions)
    return undefined
  }

  async #read<R>(
    context: DirectContext,
    cls: StatementClass,
    run: (connection: Connection) => Promise<R>,
  ): Promise<R> {
    const { core } = this.options
    let exclude = 0
    for (let attempts = 1; ; attempts++) {
      const held = await this.hold(context, cls, exclude, true)
      const { nodeIndex } = held
      const startedMs = this.started(held, true)
      try {
        const result = await run(held.connection)
        this.finished(held, startedMs, false)
        noteRead(core, context, nodeIndex)
        return result
      } catch (error) {
        const failed: FailedRun = { core, catalog: this.catalog, cls, nodeIndex, error }
        const next = judgeRead(failed)
        this.failed(held, startedMs, error, next.isNodeTrouble)
        if (!core.isReplica(nodeIndex)) noteRead(core, context, nodeIndex)
        if (next.verdict === 'write') throw notARead(next.reason)
        const mayGoOn = next.verdict === 'again' && attempts < maxAttempts && !this.#isClosed
        if (!mayGoOn || !core.mayRetry()) throw next.error
        exclude |= next.exclude
        core.counters.retries++
      }
    }
  }

  /** While the catalog is read anew nothing is proved; the primary itself sees to it that it is a read. */
  async #readUnproved<R>(
    context: DirectContext,
    run: (connection: Connection) => Promise<R>,
  ): Promise<R> {
    const { driver } = this.options
    return this.#write(context, READ_TRANSACTION, async (connection) => {
      await driver.command(connection, 'BEGIN READ ONLY')
      try {
        const result = await run(connection)
        await driver.command(connection, 'COMMIT')
        return result
      } catch (error) {
        // The first error counts; a connection that is lost has rolled back by itself.
        await driver.command(connection, 'ROLLBACK').catch(() => {})
        throw error
      }
    })
  }

  async #write<R>(
    context: DirectContext,
    cls: StatementClass,
    run: (connection: Connection) => Promise<R>,
  ): Promise<R> {
    const { core, database } = this.options
    for (let attempts = 1; ; attempts++) {
      const held = await this.hold(context, WRITE_SESSION, 0, false)
      const startedMs = this.started(held, false)
      try {
        const result = await run(held.connection)
        this.finished(held, startedMs, spoils(cls, false))
        noteWritten(core, context, cls)
        if (cls.effects.some(({ kind }) => kind === 'ddl')) core.noteDdl(database)
        return result
      } catch (error) {
        const failed: FailedRun = {
          core,
          catalog: this.catalog,
          cls,
          nodeIndex: held.nodeIndex,
          error,
        }
        const next = judgeWrite(failed)
        this.failed(held, startedMs, error, next.isNodeTrouble)
        noteWritten(core, context, cls)
        const mayGoOn = next.verdict === 'again' && attempts < maxAttempts && !this.#isClosed
        if (!mayGoOn) throw next.error
        core.counters.retries++
      }
    }
  }

  /**
   * A connection to a node that may serve the class now: waits for a replica that is far enough, for
   * a primary, for a free connection, each within its bound. Rejects with DoorError 57P03 or 53300.
   */
  hold(
    context: DirectContext,
    cls: StatementClass,
    exclude: number,
    isReadOnly: boolean,
  ): Promise<Held<Connection>> {
    const { core, pools } = this.options
    const wish: Wish = { context, cls, exclude, isReadOnly, startMs: core.nowMs() }
    const { facts, patience } = context
    const looksAround =
      isReadOnly && mayLookAround(patience, facts, wish.startMs) && core.wantsAway(facts)
    // The usual case, without a promise more than it needs.
    if (!looksAround) {
      const route = core.route(cls, facts, exclude)
      const { node } = route
      if (node !== null && route.isBehind !== true) {
        patience.wasBehind = false
        if (isReadOnly) noteSent(core, context, node.index)
        return pools.checkout(node.index, (error) => this.#holdOn(wish, route, node, error))
      }
    }
    return this.#holdOn(wish, null, null, null)
  }

  /** `failed` could give no connection. */
  async #holdOn(
    wish: Wish,
    failedRoute: Route | null,
    failed: NodeView | null,
    error: unknown,
  ): Promise<Held<Connection>> {
    const { core, pools } = this.options
    const { context, isReadOnly } = wish
    let { exclude } = wish
    let cause = error
    let route = failedRoute
    let node = failed
    const held = { untilMs: core.nowMs() + core.config.failover.holdWritesMs }
    for (;;) {
      if (this.#isClosed) throw closed()
      if (route !== null && node !== null) {
        if (!this.#mayGoElsewhere(node, cause, isReadOnly)) throw cause
        const isNew = isReadOnly && ((exclude >>> node.index) & 1) === 0
        if (isNew) exclude |= 1 << node.index
        else await this.#holdBack(whyOf(cause), held.untilMs, cause)
      }
      route = await this.#route({ ...wish, exclude })
      node = route.node
      if (node === null) {
        await this.#holdBack(route.reason, held.untilMs, cause)
        exclude = wish.exclude
        continue
      }
      try {
        if (isReadOnly) noteSent(core, context, node.index)
        return await pools.checkout(node.index)
      } catch (problem) {
        cause = problem
      }
    }
  }

  /** The route; before that a read waits for a replica as long as that is of use. */
  async #route({ context, cls, exclude, isReadOnly, startMs }: Wish): Promise<Route> {
    const { core } = this.options
    const { facts, patience } = context
    if (!isReadOnly) return core.route(cls, facts, exclude)
    // Reads of one context may wait side by side: each has its own time.
    const own = { ...patience, catchUpUntilMs: null }
    for (;;) {
      const untilMs = moveOnUntilMs(own, facts, core, startMs)
      if (untilMs === null) break
      await waitForNews((callback) => core.onNews(callback), untilMs - core.nowMs())
    }
    own.catchUpUntilMs = null
    let route = core.route(cls, facts, exclude)
    while (route.isBehind === true) {
      const untilMs = catchUpUntilMs(own, facts, core, startMs, cls, exclude)
      if (untilMs === null) break
      await waitForNews((callback) => core.onNews(callback), untilMs - core.nowMs())
      route = core.route(cls, facts, exclude)
    }
    patience.choseAtMs = own.choseAtMs
    patience.behindSinceMs = own.behindSinceMs
    patience.wasBehind = route.isBehind === true
    return route
  }

  /** No node for it now: it waits for the next news, up to `failover.holdWrites` in all. */
  async #holdBack(reason: string, untilMs: number, cause: unknown): Promise<void> {
    const { core } = this.options
    const leftMs = untilMs - core.nowMs()
    if (!(leftMs > 0) || this.#held >= core.config.failover.maxHeld) throw noNode(reason, cause)
    this.#held++
    try {
      await waitForNews((callback) => core.onNews(callback), leftMs)
    } finally {
      this.#held--
    }
  }

  /** No connection to the node could be had, so nothing was sent: is that the node's trouble? */
  #mayGoElsewhere(node: NodeView, error: unknown, isReadOnly: boolean): boolean {
    const { core } = this.options
    const isFull = error instanceof PgSplitError && error.sqlstate === '53300'
    if (isFull) return isReadOnly && node.role === 'replica'
    const sqlstate = sqlstateOf(error)
    if (sqlstate === '') core.reportFailure(node.index, dialFailure(error), whyOf(error))
    else if (sqlstate.startsWith('57P')) core.reportFailure(node.index, 'shutdown', whyOf(error))
    // What a replica refuses, a log-in too, may be there already on the primary.
    return sqlstate === '' || /^(08|57P|53)/.test(sqlstate) || node.role === 'replica'
  }

  /** Counts a statement in; the result is when it began, monotonic ms. */
  started({ nodeIndex }: Held<Connection>, isReadOnly: boolean): number {
    const { load, counters } = this.options.core
    load.start(nodeIndex)
    if (isReadOnly) {
      counters.reads++
      counters.readsByNode[nodeIndex] = (counters.readsByNode[nodeIndex] ?? 0) + 1
    } else counters.writes++
    return this.options.core.nowMs()
  }

  finished(held: Held<Connection>, startedMs: number, isSpoiled: boolean): void {
    const { core, pools } = this.options
    const { nodeIndex } = held
    core.load.finish(nodeIndex, core.nowMs() - startedMs)
    core.counters.requests[nodeIndex] = (core.counters.requests[nodeIndex] ?? 0) + 1
    core.reportSuccess(nodeIndex)
    pools.checkin(held, isSpoiled)
  }

  failed(held: Held<Connection>, startedMs: number, error: unknown, isNodeTrouble: boolean): void {
    const { core, pools } = this.options
    const { nodeIndex } = held
    core.load.finish(nodeIndex, isNodeTrouble ? Number.NaN : core.nowMs() - startedMs)
    const counter = isNodeTrouble ? core.counters.errors : core.counters.requests
    counter[nodeIndex] = (counter[nodeIndex] ?? 0) + 1
    // An error of the statement leaves the connection as it was, but who knows of others.
    pools.checkin(held, isNodeTrouble || sqlstateOf(error) === '')
  }

  snapshot(): DoorSnapshot {
    return doorSnapshot(this.options.core, this.options.pools)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const { core, pools } = this.options
    await this.ready.catch(() => {})
    await Promise.all([core.stop(), pools.end()])
  }
}

function closed(): DoorError {
  return new DoorError({
    sqlstate: '57P01',
    message: 'the sessions are closed',
    hint: 'close() ends them for good; create new ones.',
  })
}

function dialFailure(error: unknown): 'timeout' | 'refused' {
  return /time/i.test(whyOf(error)) ? 'timeout' : 'refused'
}

function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
