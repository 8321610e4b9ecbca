import type { StatementClass, TransactionModes } from '../../sql/statement-class.ts'
import type { SessionMode } from '../door.ts'
import { notARead } from '../door-error.ts'
import { classOf, endOf } from '../judge-text.ts'
import { LazyTransaction } from '../lazy-transaction.ts'
import { beginText, commits, joined } from '../transaction-modes.ts'
import type { DirectContext } from './direct-context.ts'
import type { DirectDoor } from './direct-door.ts'
import { judgeRead, judgeWrite, lost, unknown } from './judge-failure.ts'
import type { Held } from './node-pools.ts'
import { noteRead, noteWritten } from './note-done.ts'
import { isFatal, isLost, serverErrorOf } from './server-error.ts'
import { READ_TRANSACTION, WRITE_SESSION } from './session-classes.ts'

/** The connection that it is open on. */
interface Open<Connection> {
  readonly held: Held<Connection>
  readonly startedMs: number
  readonly onReplica: boolean
}

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
    let exclude = 0
    for (let attempts = 1; ; attempts++) {
      const { facts } = this.#context
      facts.pendingBegin = modes
      let held: Held<Connection>
      try {
        const head = isReading ? READ_TRANSACTION : WRITE_SESSION
        held = await placement.hold(this.#context, head, exclude, isReading)
      } finally {
        facts.pendingBegin = null
      }
      const onReplica = isReading && core.isReplica(held.nodeIndex)
      const open = { held, startedMs: door.started(held, isReading), onReplica }
      try {
        await driver.command(held.connection, beginText(begun))
        const result = await run(held.connection)
        this.opened(open)
        this.note(cls)
        return result
      } catch (error) {
        const failed = { core, catalog, cls, nodeIndex: held.nodeIndex, error }
        const next = isReading ? judgeRead(failed) : judgeWrite(failed)
        const mayBegin = next.verdict === 'again' && attempts < maxAttempts && core.mayRetry()
        if (!next.isNodeTrouble && !mayBegin) {
          // An error of the statement: the transaction is open, and has failed.
          this.opened(open)
          throw next.verdict === 'write' ? notARead(next.reason) : error
        }
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
    open: Open<Connection>,
    cls: StatementClass,
    run: (connection: Connection) => Promise<R>,
  ): Promise<R | null> {
    const { held } = open
    const end = endOf(cls)
    try {
      const result = await run(held.connection)
      this.note(cls)
      if (end !== null) {
        this.ended()
        this.giveBack(open, this.isSpoiled)
      }
      return result
    } catch (error) {
      const server = serverErrorOf(error)
      const isGone = server === null ? isLost(error) : isFatal(server)
      if (!isGone) {
        if (end !== null) {
          this.ended()
          this.giveBack(open, true)
        }
        throw error
      }
      const { catalog } = this.#door
      const { core } = this.#door.options
      const failed = { core, catalog, cls, nodeIndex: held.nodeIndex, error }
      core.reportFailure(
        held.nodeIndex,
        'reset',
        failed.error instanceof Error ? failed.error.message : '',
      )
      if (end === null) this.broke()
      else this.ended()
      this.giveBack(open, true)
      if (end === 'rollback') return null
      if (commits(cls) && !open.onReplica) throw unknown(failed)
      // What a replica has shown is whole without its COMMIT.
      if (end === 'commit') return null
      throw lost(failed)
    }
  }

  protected giveBack({ held, startedMs }: Open<Connection>, isSpoiled: boolean): void {
    const { core, database } = this.#door.options
    if (this.mode === 'read') noteRead(core, this.#context, held.nodeIndex)
    else noteWritten(core, this.#context)
    if (this.hasDdl) core.noteDdl(database)
    this.#door.finished(held, startedMs, isSpoiled)
  }
}
