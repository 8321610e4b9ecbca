import type { StatementClass, TransactionModes } from '../../sql/statement-class.ts'
import type { DoorTransaction, SessionMode } from '../door.ts'
import { notARead } from '../door-error.ts'
import { classOf, endOf, spoils } from '../judge-text.ts'
import {
  assertAllowed,
  beginText,
  commits,
  hasEnded,
  joined,
  modesOf,
  wasLost,
} from '../transaction-modes.ts'
import type { DirectContext } from './direct-context.ts'
import type { DirectDoor } from './direct-door.ts'
import { judgeRead, judgeWrite, lost, unknown } from './judge-failure.ts'
import type { Held } from './node-pools.ts'
import { noteRead, noteWritten, setsCommit } from './note-done.ts'
import { isFatal, isLost, serverErrorOf } from './server-error.ts'
import { READ_TRANSACTION, WRITE_SESSION } from './session-classes.ts'

/** `begun`: its BEGIN waits for the first statement. `broken`: its connection went. */
type State<Connection> =
  | { readonly kind: 'new' }
  | { readonly kind: 'begun'; readonly modes: TransactionModes }
  | {
      readonly kind: 'open'
      readonly held: Held<Connection>
      readonly startedMs: number
      readonly onReplica: boolean
    }
  | { readonly kind: 'broken' }
  | { readonly kind: 'done' }

/** So often a transaction begins anew while its first statement has shown nothing. */
const maxAttempts = 8

/**
 * One transaction on one node: READ ONLY on a replica for a read session, on the primary for a write
 * session. BEGIN goes out with the first statement; until that one has answered, nothing was shown to
 * the application, and a read may begin anew elsewhere.
 */
export class DirectTransaction<Connection> implements DoorTransaction<Connection> {
  readonly #door: DirectDoor<Connection>
  readonly #mode: SessionMode
  readonly #context: DirectContext
  #state: State<Connection> = { kind: 'new' }
  #isSpoiled = false
  #hasDdl = false
  /** It has set synchronous_commit. */
  #asynchronous: StatementClass | null = null

  constructor(door: DirectDoor<Connection>, mode: SessionMode, context: DirectContext) {
    this.#door = door
    this.#mode = mode
    this.#context = context
  }

  async query<R>(text: string, run: (connection: Connection) => Promise<R>): Promise<R | null> {
    await this.#door.beReady(this.#context)
    const cls = classOf(this.#door.catalog.classifier, text)
    const state = this.#state
    switch (state.kind) {
      case 'new':
        this.#state = { kind: 'begun', modes: modesOf(this.#mode, cls) }
        return null
      case 'begun':
        if (endOf(cls) !== null) {
          this.#state = { kind: 'done' }
          return null
        }
        assertAllowed(this.#mode, cls)
        return await this.#first(state.modes, cls, run)
      case 'open':
        assertAllowed(this.#mode, cls)
        return await this.#next(state, cls, run)
      case 'broken':
        if (endOf(cls) === 'rollback') return null
        throw wasLost()
      case 'done':
        // Drizzle rolls back after a COMMIT that failed; what that one said is what counts.
        if (endOf(cls) === 'rollback') return null
        throw hasEnded()
      default:
        return state satisfies never
    }
  }

  release(): void {
    const state = this.#state
    this.#state = { kind: 'done' }
    // It was neither committed nor rolled back: the server does the latter when the connection goes.
    if (state.kind === 'open') this.#giveBack(state, true)
  }

  /** Sends BEGIN and the first statement. */
  async #first<R>(
    begun: TransactionModes,
    cls: StatementClass,
    run: (connection: Connection) => Promise<R>,
  ): Promise<R> {
    const door = this.#door
    const { core, driver } = door.options
    const { catalog } = door
    const isReading = this.#mode === 'read'
    const modes = joined(begun, cls)
    let exclude = 0
    for (let attempts = 1; ; attempts++) {
      const { facts } = this.#context
      facts.pendingBegin = modes
      let held: Held<Connection>
      try {
        const head = isReading ? READ_TRANSACTION : WRITE_SESSION
        held = await door.hold(this.#context, head, exclude, isReading)
      } finally {
        facts.pendingBegin = null
      }
      const onReplica = isReading && core.isReplica(held.nodeIndex)
      const state = {
        kind: 'open',
        held,
        startedMs: door.started(held, isReading),
        onReplica,
      } as const
      try {
        await driver.command(held.connection, beginText(begun))
        const result = await run(held.connection)
        this.#state = state
        this.#note(cls)
        return result
      } catch (error) {
        const failed = { core, catalog, cls, nodeIndex: held.nodeIndex, error }
        const next = isReading ? judgeRead(failed) : judgeWrite(failed)
        const mayBegin = next.verdict === 'again' && attempts < maxAttempts && core.mayRetry()
        if (!next.isNodeTrouble && !mayBegin) {
          // An error of the statement: the transaction is open, and has failed.
          this.#state = state
          throw next.verdict === 'write' ? notARead(next.reason) : error
        }
        door.failed(held, state.startedMs, error, true)
        if (!mayBegin) {
          this.#state = { kind: 'broken' }
          if (!next.isNodeTrouble) throw next.error
          throw commits(cls) ? unknown(failed) : lost(failed)
        }
        exclude |= next.exclude
        core.counters.retries++
      }
    }
  }

  async #next<R>(
    state: Extract<State<Connection>, { readonly kind: 'open' }>,
    cls: StatementClass,
    run: (connection: Connection) => Promise<R>,
  ): Promise<R | null> {
    const { held } = state
    const end = endOf(cls)
    try {
      const result = await run(held.connection)
      this.#note(cls)
      if (end !== null) {
        this.#state = { kind: 'done' }
        this.#giveBack(state, this.#isSpoiled)
      }
      return result
    } catch (error) {
      const server = serverErrorOf(error)
      const isGone = server === null ? isLost(error) : isFatal(server)
      if (!isGone) {
        if (end !== null) {
          this.#state = { kind: 'done' }
          this.#giveBack(state, true)
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
      this.#state = { kind: end === null ? 'broken' : 'done' }
      this.#giveBack(state, true)
      if (end === 'rollback') return null
      if (commits(cls) && !state.onReplica) throw unknown(failed)
      // What a replica has shown is whole without its COMMIT.
      if (end === 'commit') return null
      throw lost(failed)
    }
  }

  #note(cls: StatementClass): void {
    if (setsCommit(cls)) this.#asynchronous = cls
    this.#isSpoiled ||= spoils(cls, true)
    this.#hasDdl ||= cls.effects.some(({ kind }) => kind === 'ddl')
  }

  #giveBack(
    { held, startedMs }: Extract<State<Connection>, { readonly kind: 'open' }>,
    isSpoiled: boolean,
  ): void {
    const { core, database } = this.#door.options
    if (this.#mode === 'read') noteRead(core, this.#context, held.nodeIndex)
    else noteWritten(core, this.#context, this.#asynchronous ?? WRITE_SESSION)
    if (this.#hasDdl) core.noteDdl(database)
    this.#door.finished(held, startedMs, isSpoiled)
  }
}
