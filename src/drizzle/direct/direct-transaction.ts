import { seesOthers } from '../../consistency.ts'
import { isFatalConflict } from '../../routing/judge-error.ts'
import { consistencyOf } from '../../routing/requirement.ts'
import type { StatementClass, TransactionModes } from '../../sql/statement-class.ts'
import type { SessionMode } from '../door.ts'
import { asNotARead, onlyOnPrimary } from '../door-error.ts'
import {
  classOf,
  endOf,
  isRead,
  isTransactionControl,
  isUnknown,
  readingOf,
} from '../judge-text.ts'
import { LazyTransaction } from '../lazy-transaction.ts'
import { beginText, commits, joined } from '../transaction-modes.ts'
import type { DirectContext } from './direct-context.ts'
import type { DirectDoor } from './direct-door.ts'
import {
  type FailedRun,
  isStale,
  judgeRead,
  judgeWrite,
  learn,
  lost,
  unknown,
} from './judge-failure.ts'
import type { Held } from './node-pools.ts'
import { noteRead, noteWritten } from './note-done.ts'
import { isFatal, isLost, serverErrorOf, whyOf } from './server-error.ts'
import { ASKS_PRIMARY, READ_TRANSACTION, WRITE_SESSION } from './session-classes.ts'
import { shownCommit } from './shown-commit.ts'

/** The connection that it is open on. */
interface Open<Connection> {
  readonly held: Held<Connection>
  readonly startedMs: number
  readonly onReplica: boolean
}

/** Fails in a transaction whose statements share one snapshot. */
const ASSERT_READ_COMMITTED =
  "SELECT 1 / (pg_catalog.current_setting('transaction_isolation') IN ('read committed', 'read uncommitted'))::int"

/** So often a transaction begins anew while its first statement has shown nothing. */
const maxAttempts = 8

/**
 * One transaction on one node: READ ONLY on a replica for a read session, on the primary for a write
 * session. Until its first statement has answered, nothing was shown to the application, and a read may
 * begin anew elsewhere.
 */
export class DirectTransaction<Connection> extends LazyTransaction<Connection, Open<Connection>> {
  readonly #door: DirectDoor<Connection>
  readonly #context: DirectContext
  /** It holds more than what it has read: a mark, a setting. */
  #hasSet = false
  /** Asked at most once. */
  #keepsSnapshot: Promise<boolean> | null = null
  /** On its way from a replica to the primary, or there. */
  #moving: Promise<Open<Connection>> | null = null

  constructor(door: DirectDoor<Connection>, mode: SessionMode, context: DirectContext) {
    super(mode)
    this.#door = door
    this.#context = context
  }

  protected async judge(text: string): Promise<StatementClass> {
    await this.#door.beReady(this.#context)
    return classOf(this.#door.catalog.classifier, text)
  }

  protected async first<R>(
    begun: TransactionModes,
    cls: StatementClass,
    run: (connection: Connection) => Promise<R>,
  ): Promise<R> {
    const door = this.#door
    const { core, driver } = door.options
    const { catalog, placement } = door
    const isReading = this.mode === 'read'
    const modes = joined(begun, cls)
    const reads = readingOf(cls) === 'asks primary' ? ASKS_PRIMARY : READ_TRANSACTION
    const head = isReading ? reads : WRITE_SESSION
    let exclude = 0
    let refused: FailedRun | null = null
    for (let attempts = 1; ; attempts++) {
      const { facts } = this.#context
      facts.pendingBegin = modes
      let held: Held<Connection>
      try {
        held = await placement.hold(this.#context, head, exclude, isReading)
      } finally {
        facts.pendingBegin = null
      }
      const onReplica = isReading && core.isReplica(held.nodeIndex)
      const open = { held, startedMs: door.started(held, isReading), onReplica }
      try {
        await driver.command(held.connection, beginText(begun))
        const result = await run(held.connection)
        if (refused !== null) learn(refused, null)
        this.opened(open)
        this.note(cls)
        return result
      } catch (error) {
        if (refused !== null) learn(refused, error)
        const failed = { core, catalog, cls, nodeIndex: held.nodeIndex, error }
        const next = isReading ? judgeRead(failed) : judgeWrite(failed)
        const isAgain = next.verdict === 'doubt' ? await isStale(failed) : next.verdict !== 'no'
        const mayBegin = isAgain && attempts < maxAttempts && core.mayRetry()
        if (!next.isNodeTrouble && !mayBegin) {
          // An error of the statement: the transaction is open, and has failed.
          this.opened(open)
          throw isReading ? asNotARead(error) : error
        }
        // Not once more on this replica, and whether that is a lesson is the primary's to show.
        if (next.verdict === 'refused') refused = failed
        door.failed(held, open.startedMs, error, true)
        if (!mayBegin) {
          this.broke()
          if (!next.isNodeTrouble) throw next.error
          throw commits(cls) ? unknown(failed) : lost(failed)
        }
        exclude |= next.exclude
        core.counters.retries++
      }
    }
  }

  protected async next<R>(
    opened: Open<Connection>,
    cls: StatementClass,
    run: (connection: Connection) => Promise<R>,
  ): Promise<R | null> {
    // While the catalog is read anew the replica itself sees to it that nothing is written.
    const isKnown = isTransactionControl(cls) || cls.ignorance === 'no catalog'
    const asksPrimary = !isKnown && readingOf(cls) === 'asks primary'
    if (opened.onReplica && (asksPrimary || (await this.#lacks(opened, cls)))) {
      this.#moving ??= this.#moveToPrimary(opened, cls)
    }
    // Those sent side by side with what moves it go there, too.
    const open = this.#moving === null ? opened : await this.#moving
    const { held } = open
    const { core, driver } = this.#door.options
    const end = endOf(cls)
    try {
      const result = await run(held.connection)
      this.note(cls)
      if (end !== null) {
        this.ended()
        this.giveBack(open, this.isSpoiled)
        const isShown = this.mode === 'write' && end === 'commit'
        if (isShown && this.#context.commitVisible > 0) await shownCommit(core, this.#context)
      }
      return result
    } catch (error) {
      // A driver says of a connection that went while nothing ran only that it is gone.
      const word = isLost(error) ? driver.lastWord(held.connection) : null
      const server = serverErrorOf(word ?? error)
      const isGone = server === null ? isLost(error) : isFatal(server)
      if (!isGone) {
        if (end !== null) {
          this.ended()
          this.giveBack(open, true)
        }
        throw this.mode === 'read' ? asNotARead(error) : error
      }
      const { catalog } = this.#door
      const failed = { core, catalog, cls, nodeIndex: held.nodeIndex, error: word ?? error }
      const isConflict = server !== null && isFatalConflict(server)
      if (!isConflict) core.reportFailure(held.nodeIndex, 'reset', whyOf(failed.error))
      if (end === null) this.broke()
      else this.ended()
      this.giveBack(open, true)
      if (end === 'rollback') return null
      if (commits(cls) && !open.onReplica) throw unknown(failed)
      // What a replica has shown is whole without its COMMIT.
      if (end === 'commit') return null
      // Retries look for its SQLSTATE.
      if (isConflict) throw failed.error
      throw lost(failed)
    }
  }

  /** At READ COMMITTED each statement sees what was committed before it, if its level asks for that. */
  async #lacks(open: Open<Connection>, cls: StatementClass): Promise<boolean> {
    const { facts } = this.#context
    const level = consistencyOf(cls, facts)
    if (!seesOthers(level) || !isRead(cls) || this.#hasSet || this.#moving !== null) return false
    const { placement } = this.#door
    if (await placement.catchUp(this.#context, cls, open.held.nodeIndex)) return false
    this.#keepsSnapshot ??= this.#askSnapshot(open)
    return !(await this.#keepsSnapshot)
  }

  /** Do its statements share one snapshot? Then it shows the same whatever is committed meanwhile. */
  async #askSnapshot({ held: { connection } }: Open<Connection>): Promise<boolean> {
    const { driver } = this.#door.options
    await driver.command(connection, 'SAVEPOINT "pgsplit"')
    try {
      await driver.command(connection, ASSERT_READ_COMMITTED)
      await driver.command(connection, 'RELEASE SAVEPOINT "pgsplit"')
      return false
    } catch (error) {
      if (serverErrorOf(error) === null) throw error
      await driver.command(connection, 'ROLLBACK TO SAVEPOINT "pgsplit"')
      await driver.command(connection, 'RELEASE SAVEPOINT "pgsplit"')
      return true
    }
  }

  /**
   * Only the primary can answer. With a snapshot for each statement, and nothing set so far, the
   * transaction goes on there: the primary has all that the replica has shown.
   */
  async #moveToPrimary(
    open: Open<Connection>,
    { reason }: StatementClass,
  ): Promise<Open<Connection>> {
    const door = this.#door
    const { driver } = door.options
    try {
      if (this.#hasSet) throw onlyOnPrimary(reason)
      await driver.command(open.held.connection, ASSERT_READ_COMMITTED).catch((error: unknown) => {
        throw serverErrorOf(error) === null ? error : onlyOnPrimary(reason)
      })
      const held = await door.placement.hold(this.#context, ASKS_PRIMARY, 0, true)
      const moved = { held, startedMs: door.started(held, true), onReplica: false }
      this.opened(moved)
      await driver.command(open.held.connection, 'COMMIT').then(
        () => this.#leave(open, this.isSpoiled),
        () => this.#leave(open, true),
      )
      await driver.command(held.connection, 'BEGIN READ ONLY')
      return moved
    } catch (error) {
      this.#moving = null
      throw error
    }
  }

  #leave({ held, startedMs }: Open<Connection>, isSpoiled: boolean): void {
    const { core } = this.#door.options
    noteRead(core, this.#context, held.nodeIndex)
    this.#door.finished(held, startedMs, isSpoiled)
  }

  protected override note(cls: StatementClass): void {
    super.note(cls)
    this.isSpoiled ||= isUnknown(cls)
    this.#hasSet ||= !isRead(cls)
  }

  protected giveBack({ held, startedMs }: Open<Connection>, isSpoiled: boolean): void {
    const { core, database } = this.#door.options
    if (this.mode === 'read') noteRead(core, this.#context, held.nodeIndex)
    else noteWritten(core, this.#context)
    if (this.ddl !== undefined) core.noteDdl(database, this.ddl)
    this.#door.finished(held, startedMs, isSpoiled)
  }
}
