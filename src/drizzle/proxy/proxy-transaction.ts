import type { StatementClass, TransactionModes } from '../../sql/statement-class.ts'
import type { Run, SessionMode } from '../door.ts'
import { endOf, isRead } from '../judge-text.ts'
import { LazyTransaction } from '../lazy-transaction.ts'
import { beginText, commits, joined } from '../transaction-modes.ts'
import type { Line } from './line.ts'
import type { ProxyContext, Use } from './proxy-context.ts'
import { isGone, type ProxyDoor } from './proxy-door.ts'

interface Open<Connection> {
  readonly line: Line<Connection>
  readonly use: Use<Connection>
  readonly isPrimary: boolean
  /** The session of the proxy was told to read from the primary. */
  readonly isRouted: boolean
}

const maxAttempts = 2

/** One transaction on one connection to the proxy, which gives it a node for as long as it lasts. */
export class ProxyTransaction<Connection extends object> extends LazyTransaction<
  Connection,
  Open<Connection>
> {
  readonly #door: ProxyDoor<Connection>
  readonly #context: ProxyContext<Connection>

  constructor(door: ProxyDoor<Connection>, mode: SessionMode, context: ProxyContext<Connection>) {
    super(mode)
    this.#door = door
    this.#context = context
  }

  protected judge(text: string): Promise<StatementClass> {
    return this.#door.judge(this.#context, text)
  }

  protected async first<R>(
    modes: TransactionModes,
    cls: StatementClass,
    run: Run<Connection, R>,
  ): Promise<R> {
    const isReading = this.mode === 'read'
    for (let attempts = 1; ; attempts++) {
      const open = await this.#take(joined(modes, cls).readOnly === true)
      const { connection } = open.line
      const { driver } = this.#door.options
      try {
        if (open.isRouted) await driver.command(connection, "SET pgsplit.route = 'primary'")
        // A read session is for replicas, whatever the level of its transaction.
        const hint = isReading && !open.isPrimary ? '/* pgsplit: replica */ ' : ''
        await driver.command(connection, `${hint}${beginText(modes)}`)
        const result = await run(
          connection,
          open.isPrimary ? this.#context.primaryHint : this.#context.hint,
        )
        this.opened(open)
        this.note(cls)
        return result
      } catch (error) {
        if (!isGone(error)) {
          // An error of the statement: the transaction is open, and has failed.
          this.opened(open)
          throw error
        }
        if (isReading) this.#door.vanished(open.use, open.line)
        else this.giveBack(open, true)
        if (isReading && attempts < maxAttempts) continue
        this.broke()
        throw commits(cls) && !isReading ? this.#door.unknown(error) : this.#door.lost(error)
      }
    }
  }

  async #take(isReadOnly: boolean): Promise<Open<Connection>> {
    const isReading = this.mode === 'read'
    const { line, isPrimary } = isReading
      ? await this.#door.takeForRead(this.#context)
      : { line: await this.#door.takeFor(this.#context), isPrimary: true }
    line.isInTransaction = true
    const use = this.#door.started(this.#context, line, isReading)
    // The proxy would give a READ ONLY transaction to a replica.
    return { line, use, isPrimary, isRouted: isPrimary && isReadOnly }
  }

  protected async next<R>(
    open: Open<Connection>,
    cls: StatementClass,
    run: Run<Connection, R>,
  ): Promise<R | null> {
    const end = endOf(cls)
    try {
      const level = isRead(cls) ? this.#context.hint : ''
      const result = await run(
        open.line.connection,
        open.isPrimary ? this.#context.primaryHint : level,
      )
      this.note(cls)
      if (end !== null) await this.#end(open)
      return result
    } catch (error) {
      if (!isGone(error)) {
        if (end !== null) {
          this.ended()
          this.giveBack(open, true)
        }
        throw error
      }
      if (end === null) this.broke()
      else this.ended()
      this.giveBack(open, true)
      if (end === 'rollback') return null
      if (commits(cls) && this.mode === 'write') throw this.#door.unknown(error)
      // What was only read is whole without its COMMIT.
      if (end === 'commit') return null
      throw this.#door.lost(error)
    }
  }

  async #end(open: Open<Connection>): Promise<void> {
    this.ended()
    let { isSpoiled } = this
    if (open.isRouted && !isSpoiled) {
      const { driver } = this.#door.options
      await driver.command(open.line.connection, 'RESET pgsplit.route').catch(() => {
        isSpoiled = true
      })
    }
    this.giveBack(open, isSpoiled)
  }

  protected giveBack({ use, line, isPrimary }: Open<Connection>, isSpoiled: boolean): void {
    if (this.ddl !== undefined) this.#door.options.catalog.invalidate(this.ddl)
    this.#door.ended(use, line, { isPrimary, isWrite: this.mode === 'write', isSpoiled })
  }
}
