import type { StatementClass, TransactionModes } from '../../sql/statement-class.ts'
import type { DoorTransaction, Run, SessionMode } from '../door.ts'
import { endOf, spoils } from '../judge-text.ts'
import {
  assertAllowed,
  beginText,
  commits,
  hasEnded,
  joined,
  modesOf,
  wasLost,
} from '../transaction-modes.ts'
import type { Line } from './line.ts'
import type { ProxyContext, Use } from './proxy-context.ts'
import { isGone, type ProxyDoor, toPrimary } from './proxy-door.ts'

interface Open<Connection> {
  readonly kind: 'open'
  readonly line: Line<Connection>
  readonly use: Use<Connection>
  readonly isPrimary: boolean
  /** The session of the proxy was told to read from the primary. */
  readonly isRouted: boolean
}

/** `begun`: its BEGIN waits for the first statement. `broken`: its connection went. */
type State<Connection> =
  | { readonly kind: 'new' }
  | { readonly kind: 'begun'; readonly modes: TransactionModes }
  | Open<Connection>
  | { readonly kind: 'broken' }
  | { readonly kind: 'done' }

const maxAttempts = 2

/** One transaction on one connection to the proxy, which gives it a node for as long as it lasts. */
export class ProxyTransaction<Connection extends object> implements DoorTransaction<Connection> {
  readonly #door: ProxyDoor<Connection>
  readonly #mode: SessionMode
  readonly #context: ProxyContext<Connection>
  #state: State<Connection> = { kind: 'new' }
  #isSpoiled = false
  #hasDdl = false

  constructor(door: ProxyDoor<Connection>, mode: SessionMode, context: ProxyContext<Connection>) {
    this.#door = door
    this.#mode = mode
    this.#context = context
  }

  async query<R>(text: string, run: Run<Connection, R>): Promise<R | null> {
    const cls = await this.#door.judge(this.#context, text)
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
    // It was neither committed nor rolled back: the proxy does the latter when the connection goes.
    if (state.kind === 'open') this.#giveBack(state, true)
  }

  async #first<R>(
    modes: TransactionModes,
    cls: StatementClass,
    run: Run<Connection, R>,
  ): Promise<R> {
    const isReading = this.#mode === 'read'
    for (let attempts = 1; ; attempts++) {
      const state = await this.#take(joined(modes, cls).readOnly === true)
      const { connection } = state.line
      const { driver } = this.#door.options
      try {
        if (state.isRouted) await driver.command(connection, "SET pgsplit.route = 'primary'")
        await driver.command(connection, beginText(modes))
        const result = await run(connection, state.isPrimary ? toPrimary : this.#context.hint)
        this.#state = state
        this.#note(cls)
        return result
      } catch (error) {
        if (!isGone(error)) {
          // An error of the statement: the transaction is open, and has failed.
          this.#state = state
          throw error
        }
        if (isReading) this.#door.vanished(state.use, state.line)
        else this.#giveBack(state, true)
        if (isReading && attempts < maxAttempts) continue
        this.#state = { kind: 'broken' }
        throw commits(cls) && !isReading ? this.#door.unknown(error) : this.#door.lost(error)
      }
    }
  }

  async #take(isReadOnly: boolean): Promise<Open<Connection>> {
    const isReading = this.#mode === 'read'
    const { line, isPrimary } = isReading
      ? await this.#door.takeForRead(this.#context)
      : { line: await this.#door.takeFor(this.#context), isPrimary: true }
    line.isInTransaction = true
    const use = this.#door.started(this.#context, line, isReading)
    // The proxy would give a READ ONLY transaction to a replica.
    return { kind: 'open', line, use, isPrimary, isRouted: isPrimary && isReadOnly }
  }

  async #next<R>(
    state: Open<Connection>,
    cls: StatementClass,
    run: Run<Connection, R>,
  ): Promise<R | null> {
    const end = endOf(cls)
    try {
      const result = await run(state.line.connection, state.isPrimary ? toPrimary : '')
      this.#note(cls)
      if (end !== null) await this.#end(state)
      return result
    } catch (error) {
      if (!isGone(error)) {
        if (end !== null) {
          this.#state = { kind: 'done' }
          this.#giveBack(state, true)
        }
        throw error
      }
      this.#state = { kind: end === null ? 'broken' : 'done' }
      this.#giveBack(state, true)
      if (end === 'rollback') return null
      if (commits(cls) && this.#mode === 'write') throw this.#door.unknown(error)
      // What was only read is whole without its COMMIT.
      if (end === 'commit') return null
      throw this.#door.lost(error)
    }
  }

  async #end(state: Open<Connection>): Promise<void> {
    this.#state = { kind: 'done' }
    let isSpoiled = this.#isSpoiled
    if (state.isRouted && !isSpoiled) {
      const { driver } = this.#door.options
      await driver.command(state.line.connection, 'RESET pgsplit.route').catch(() => {
        isSpoiled = true
      })
    }
    this.#giveBack(state, isSpoiled)
  }

  #note(cls: StatementClass): void {
    this.#isSpoiled ||= spoils(cls, true)
    this.#hasDdl ||= cls.effects.some(({ kind }) => kind === 'ddl')
  }

  #giveBack({ use, line, isPrimary }: Open<Connection>, isSpoiled: boolean): void {
    if (this.#hasDdl) this.#door.options.catalog.invalidate()
    this.#door.ended(use, line, { isPrimary, isWrite: this.#mode === 'write', isSpoiled })
  }
}
