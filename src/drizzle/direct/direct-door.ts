import type { ClusterCore } from '../../core/cluster-core.ts'
import type { DatabaseCatalog } from '../../core/database-catalog.ts'
import { initialFacts } from '../../routing/requirement.ts'
import type { StatementClass } from '../../sql/statement-class.ts'
import type { ContextOptions, Door, DoorSnapshot, DoorTransaction, SessionMode } from '../door.ts'
import { asNotARead, closedError, notARead } from '../door-error.ts'
import type { Driver } from '../driver-pool.ts'
import { classOf, isUnknown, readingOf } from '../judge-text.ts'
import { ContextTokens } from './context-tokens.ts'
import { type DirectContext, newDirectContext, takeShared } from './direct-context.ts'
import { DirectTransaction } from './direct-transaction.ts'
import { doorSnapshot } from './door-snapshot.ts'
import type { LoginRefusals } from './login-refusals.ts'
import type { Held, NodePools } from './node-pools.ts'
import { Placement } from './placement.ts'
import { runStatement } from './run-statement.ts'
import { sqlstateOf } from './server-error.ts'
import { ASKS_PRIMARY, READ_TRANSACTION, UNKNOWN_READ } from './session-classes.ts'

export interface DirectDoorOptions<Connection> {
  readonly core: ClusterCore
  readonly database: string
  readonly pools: NodePools<Connection>
  readonly refusals: LoginRefusals
  readonly driver: Driver<Connection>
  /** A read session that is given a write: refuse it, or run it on the primary. */
  readonly onWriteInReadSession: 'error' | 'primary'
}

/**
 * The in-process door onto the nodes themselves: what the proxy does for a connection, done for each
 * statement by the same core.
 */
export class DirectDoor<Connection> implements Door<Connection, DirectContext> {
  readonly options: DirectDoorOptions<Connection>
  readonly ready: Promise<void>
  #catalog: DatabaseCatalog | null = null
  #isClosed = false
  readonly #tokens: ContextTokens
  /** Where its statements find their connections. */
  readonly placement: Placement<Connection>
  readonly process: DirectContext

  constructor(options: DirectDoorOptions<Connection>) {
    this.options = options
    this.#tokens = new ContextTokens(options.core)
    this.placement = new Placement(options, () => this.#isClosed)
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
    catalog.hold()
    await catalog.ready
    this.#catalog = catalog
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** What statements are judged by. Only when the door is ready. */
  get catalog(): DatabaseCatalog {
    if (this.#catalog === null) throw new Error('unreachable: statements wait until it is there')
    return this.#catalog
  }

  newContext(options: ContextOptions): DirectContext {
    return this.#tokens.newContext(options, this.process.facts)
  }

  raise(context: DirectContext, token: string): void {
    this.#tokens.raise(context, token)
  }

  causalTokenNow(context: DirectContext): string | null {
    return this.#tokens.now(context)
  }

  async causalToken(context: DirectContext): Promise<string> {
    await this.ready
    return this.#tokens.wait(context, () => this.#isClosed)
  }

  hasUsedPrimary(context: DirectContext): boolean {
    return context.hasUsedPrimary
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
    const reading = mode === 'read' ? readingOf(cls) : 'no'
    if (reading === 'proved') return runStatement(this, { context, cls, isRead: true, run })
    if (reading === 'asks primary') return this.askPrimary(context, cls, run)
    if (mode === 'read' && !this.#takesWrites) throw notARead(cls.reason)
    return runStatement(this, { context, cls, isRead: false, run })
  }

  /** Read sessions give their writes to the primary. */
  get #takesWrites(): boolean {
    return this.options.onWriteInReadSession === 'primary'
  }

  begin(mode: SessionMode, context: DirectContext): DoorTransaction<Connection> {
    return new DirectTransaction(this, mode, context)
  }

  /** Before anything of this context is routed. */
  beReady(context: DirectContext): Promise<void> | undefined {
    if (this.#isClosed) throw closedError()
    if (this.#catalog === null) return this.ready.then(() => this.beReady(context))
    if (context.expectedCluster !== null) this.#tokens.check(context)
    takeShared(context, this.options.core.positions)
    return undefined
  }

  /**
   * What is not proved, or is the primary's own: the primary itself sees to it that it is a read.
   * Rejects with DoorError 25006 if it is none.
   */
  askPrimary<R>(
    context: DirectContext,
    cls: StatementClass,
    run: (connection: Connection) => Promise<R>,
  ): Promise<R> {
    if (this.#takesWrites) return runStatement(this, { context, cls, isRead: false, run })
    const { driver } = this.options
    const readOnly = async (connection: Connection): Promise<R> => {
      await driver.command(connection, 'BEGIN READ ONLY')
      try {
        const result = await run(connection)
        await driver.command(connection, 'COMMIT')
        return result
      } catch (error) {
        // The first error counts; a connection that is lost has rolled back by itself.
        await driver.command(connection, 'ROLLBACK').catch(() => {})
        throw asNotARead(error)
      }
    }
    const asked = isUnknown(cls) ? UNKNOWN_READ : READ_TRANSACTION
    return runStatement(this, {
      context,
      cls: asked,
      isRead: false,
      head: ASKS_PRIMARY,
      run: readOnly,
    })
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

  /** `isSpoiled`: the statement may have left something, for all that it failed. */
  failed(
    held: Held<Connection>,
    startedMs: number,
    error: unknown,
    isNodeTrouble: boolean,
    isSpoiled = false,
  ): void {
    const { core, pools } = this.options
    const { nodeIndex } = held
    core.load.finish(nodeIndex, isNodeTrouble ? Number.NaN : core.nowMs() - startedMs)
    const counter = isNodeTrouble ? core.counters.errors : core.counters.requests
    counter[nodeIndex] = (counter[nodeIndex] ?? 0) + 1
    // An error of the statement leaves the connection as it was, but who knows of others.
    pools.checkin(held, isNodeTrouble || isSpoiled || sqlstateOf(error) === '')
  }

  snapshot(): DoorSnapshot {
    return doorSnapshot(this.options)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const { core, pools } = this.options
    await this.ready.catch(() => {})
    await Promise.all([core.stop(), pools.end()])
  }
}
