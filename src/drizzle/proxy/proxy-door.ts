import { setTimeout as sleep } from 'node:timers/promises'
import type { DatabaseCatalog } from '../../core/database-catalog.ts'
import { formatCausalToken, parseCausalToken, type TokenText } from '../../routing/watermark.ts'
import type { StatementClass } from '../../sql/statement-class.ts'
import { isFatal, isLost, serverErrorOf, sqlstateOf, whyOf } from '../direct/server-error.ts'
import type {
  ContextOptions,
  Door,
  DoorSnapshot,
  DoorTransaction,
  Run,
  SessionMode,
} from '../door.ts'
import {
  asNotARead,
  closedError,
  DoorError,
  foreignToken,
  notARead,
  notAToken,
} from '../door-error.ts'
import { classOf, isRead, readingOf, spoils } from '../judge-text.ts'
import { joinedTokens, type Line } from './line.ts'
import type { Lines, ProxyDriver } from './lines.ts'
import { ProxyContext, Use } from './proxy-context.ts'
import { ProxyTransaction } from './proxy-transaction.ts'

export interface ProxyDoorOptions<Connection extends object> {
  readonly lines: Lines<Connection>
  readonly driver: ProxyDriver<Connection>
  readonly catalog: DatabaseCatalog
  /** Whether the proxy had one when it was asked for the catalog last. */
  readonly hasPrimary: () => boolean
  /** `host:port` of the proxy. */
  readonly name: string
  readonly onWriteInReadSession: 'error' | 'primary'
}

/** In front of a statement: it runs on the primary, whatever it is. */
const toPrimary = '/* pgsplit: primary */ '
/** A read that needs to know what another connection has shown waits so long, ms; then the primary has it. */
const captureWaitMs = 50
/** How long a token may be waited for, ms; beyond that the primary is asked anew. */
const tokenWaitMs = 200
/** A read whose connection was lost before it was answered runs so often. */
const maxAttempts = 2

/**
 * The in-process door onto a pgsplit proxy: which node serves what, health and retries are the
 * proxy's. This door refuses what is no read in a read session, and carries what a context has
 * written and seen from one connection to the next.
 */
export class ProxyDoor<Connection extends object>
  implements Door<Connection, ProxyContext<Connection>>
{
  readonly options: ProxyDoorOptions<Connection>
  readonly process = new ProxyContext<Connection>({})
  readonly ready: Promise<void>
  #systemIdentifier: string | null = null
  #isClosed = false
  #isReady = false
  #running = 0
  #requests = 0
  #reads = 0

  constructor(options: ProxyDoorOptions<Connection>) {
    this.options = options
    this.ready = options.catalog.ready
      .then(() => this.#learnCluster())
      .then(() => {
        this.#isReady = true
      })
  }

  /** So that tokens of another cluster are refused where they are given. */
  async #learnCluster(): Promise<void> {
    const { lines, driver, hasPrimary } = this.options
    // A statement for it would wait for one, and reads with it.
    const hint = hasPrimary() ? toPrimary : ''
    try {
      const line = await lines.take()
      await driver.command(line.connection, `${hint}SELECT 1`).catch(() => {})
      line.uses++
      lines.giveBack(line, false)
      await lines.capture(line)
      this.#systemIdentifier = line.captured.token?.systemIdentifier ?? null
    } catch {
      // Statements say what is wrong.
    }
  }

  newContext(options: ContextOptions): ProxyContext<Connection> {
    const { token } = options
    const context = new ProxyContext<Connection>(options)
    if (token !== undefined && token !== 'primary') this.raise(context, token)
    return context
  }

  raise(context: ProxyContext<Connection>, text: string): void {
    if (text === '') return
    const token = parseCausalToken(text)
    if (token === null) throw notAToken(text)
    if (this.#isForeign(token)) throw this.#foreign(token)
    context.token = joinedTokens(context.token, token)
  }

  #isForeign({ systemIdentifier }: TokenText): boolean {
    const known = this.#systemIdentifier
    return known !== null && systemIdentifier !== null && systemIdentifier !== known
  }

  #foreign({ systemIdentifier }: TokenText): DoorError {
    return foreignToken(systemIdentifier, this.#systemIdentifier)
  }

  /** Its token may have come before it was known which cluster this is. */
  #checkToken(context: ProxyContext<Connection>): void {
    const { token, isForeignIgnored } = context
    if (token === null || !this.#isForeign(token)) return
    if (!isForeignIgnored) throw this.#foreign(token)
    context.token = null
  }

  causalTokenNow(context: ProxyContext<Connection>): string | null {
    if (!this.#settle(context, null)) {
      for (const line of this.#unasked(context, null)) void this.options.lines.capture(line)
      return null
    }
    const token = joinedTokens(context.token, context.isShared ? this.process.token : null)
    return token === null
      ? ''
      : formatCausalToken({
          ...token,
          systemIdentifier: token.systemIdentifier ?? this.#systemIdentifier,
        })
  }

  async causalToken(context: ProxyContext<Connection>): Promise<string> {
    await this.#beReady(context)
    for (let attempts = 1; attempts <= 3; attempts++) {
      await this.#gather(context, null, tokenWaitMs)
      const token = this.causalTokenNow(context)
      if (token !== null) return token
      // A connection is busy or gone: what the primary has now covers what it has shown.
      await this.onPrimary(context, null, ({ connection }) =>
        this.options.driver.command(connection, `${toPrimary}SELECT 1`),
      )
    }
    throw new DoorError({
      sqlstate: '57P03',
      message: 'no position is known that covers what this context has done',
      hint: 'SHOW NODES in the admin database of the proxy tells what is wrong with each node.',
    })
  }

  async query<R>(
    mode: SessionMode,
    context: ProxyContext<Connection>,
    text: string,
    run: Run<Connection, R>,
  ): Promise<R> {
    await this.#beReady(context)
    const cls = classOf(this.options.catalog.classifier, text)
    const write = (): Promise<R> =>
      this.onPrimary(context, cls, ({ connection }) => run(connection, context.primaryHint))
    if (mode === 'write') return write()
    const reading = readingOf(cls)
    if (reading === 'proved') return this.#read(context, run)
    if (this.options.onWriteInReadSession === 'primary') return write()
    if (reading === 'asks primary') {
      return this.#isBlind ? this.#askProxy(context, run) : this.#askPrimary(context, run)
    }
    throw notARead(cls.reason)
  }

  begin(mode: SessionMode, context: ProxyContext<Connection>): DoorTransaction<Connection> {
    return new ProxyTransaction(this, mode, context)
  }

  /** Before anything is sent. Throws DoorError 57P01 when the sessions are closed. */
  async #beReady(context: ProxyContext<Connection>): Promise<void> {
    if (!this.#isReady) await this.ready
    this.#checkToken(context)
    if (this.#isClosed) throw closedError()
  }

  /** As `query`, for transactions: the class of a text. */
  async judge(context: ProxyContext<Connection>, text: string): Promise<StatementClass> {
    await this.#beReady(context)
    return classOf(this.options.catalog.classifier, text)
  }

  async #read<R>(context: ProxyContext<Connection>, run: Run<Connection, R>): Promise<R> {
    for (let attempts = 1; ; attempts++) {
      const { line, isPrimary } = await this.takeForRead(context)
      const use = this.started(context, line, true)
      try {
        const result = await run(line.connection, isPrimary ? toPrimary : context.hint)
        this.ended(use, line, { isPrimary, isWrite: false, isSpoiled: false })
        return result
      } catch (error) {
        if (!isGone(error)) {
          const isSpoiled = sqlstateOf(error) === ''
          this.ended(use, line, { isPrimary, isWrite: false, isSpoiled })
          throw error
        }
        this.vanished(use, line)
        if (attempts >= maxAttempts) throw this.lost(error)
      }
    }
  }

  /** There is nobody to read a catalog from. */
  get #isBlind(): boolean {
    const { catalog, hasPrimary } = this.options
    return !hasPrimary() && catalog.classifier.noReads !== null
  }

  /** The proxy has its catalog from a replica then: it judges, and READ ONLY sees to the rest. */
  #askProxy<R>(context: ProxyContext<Connection>, run: Run<Connection, R>): Promise<R> {
    return this.#read(context, (connection, hint) =>
      this.#inReadOnly(connection, () => run(connection, hint)),
    )
  }

  async #inReadOnly<R>(connection: Connection, run: () => Promise<R>): Promise<R> {
    const { driver } = this.options
    await driver.command(connection, 'BEGIN READ ONLY')
    let isDone = false
    try {
      const result = await run()
      isDone = true
      return result
    } catch (error) {
      throw asNotARead(error)
    } finally {
      // The first error counts.
      await driver.command(connection, isDone ? 'COMMIT' : 'ROLLBACK').catch(() => {})
    }
  }

  /** What is not proved, or is the primary's own: the primary itself sees to it that it is a read. */
  #askPrimary<R>(context: ProxyContext<Connection>, run: Run<Connection, R>): Promise<R> {
    const { driver } = this.options
    return this.onPrimary(context, null, async (line) => {
      const { connection } = line
      await driver.command(connection, "SET pgsplit.route = 'primary'")
      try {
        return await this.#inReadOnly(connection, () => run(connection, toPrimary))
      } finally {
        await driver.command(connection, 'RESET pgsplit.route').catch(() => {})
      }
    })
  }

  /** Runs once, on the primary. */
  async onPrimary<R>(
    context: ProxyContext<Connection>,
    cls: StatementClass | null,
    run: (line: Line<Connection>) => Promise<R>,
  ): Promise<R> {
    const line = await this.takeFor(context)
    const use = this.started(context, line, false)
    const isWrite = cls !== null
    try {
      const result = await run(line)
      const isSpoiled = cls !== null && spoils(cls, false)
      this.ended(use, line, { isPrimary: true, isWrite, isSpoiled })
      for (const effect of cls?.effects ?? []) {
        if (effect.kind === 'ddl') this.options.catalog.invalidate(effect.touches)
      }
      return result
    } catch (error) {
      // What has failed may have committed before.
      const isSpoiled = isGone(error) || sqlstateOf(error) === ''
      this.ended(use, line, { isPrimary: true, isWrite, isSpoiled })
      if (!isGone(error)) throw error
      throw cls === null || isRead(cls) ? this.lost(error) : this.unknown(error)
    }
  }

  /** The line that the context used last, if it is free. */
  async takeFor({ last }: ProxyContext<Connection>): Promise<Line<Connection>> {
    const { lines, name } = this.options
    if (last !== null && lines.takeThis(last)) return last
    try {
      return await lines.take()
    } catch (error) {
      if (!isLost(error)) throw error
      throw new DoorError(
        {
          sqlstate: '08001',
          message: `no connection to the proxy at ${name}: ${whyOf(error)}`,
          hint: 'Nothing was sent; is pgsplit running there?',
        },
        error,
      )
    }
  }

  /** A line that shows what the context must see; `isPrimary`: only if it reads from the primary. */
  async takeForRead(
    context: ProxyContext<Connection>,
  ): Promise<{ readonly line: Line<Connection>; readonly isPrimary: boolean }> {
    const { lines } = this.options
    for (let attempts = 1; ; attempts++) {
      const { last } = context
      const kept = last !== null && lines.takeThis(last) ? last : null
      let isPrimary = context.isPrimary
      if (!isPrimary) isPrimary = !(await this.#gather(context, kept, captureWaitMs))
      const line = kept ?? (await this.takeFor(context))
      if (isPrimary) return { line, isPrimary }
      try {
        const shared = context.isShared ? this.process.token : null
        await lines.tell(line, joinedTokens(context.token, shared))
        return { line, isPrimary }
      } catch (error) {
        lines.giveBack(line, true)
        if (!isGone(error) || attempts >= maxAttempts) throw error
      }
    }
  }

  /** Asks other lines what they have shown the context. False: that can't be had in time. */
  async #gather(
    context: ProxyContext<Connection>,
    line: Line<Connection> | null,
    waitMs: number,
  ): Promise<boolean> {
    if (this.#settle(context, line)) return true
    const { lines } = this.options
    const unasked = this.#unasked(context, line)
    if (unasked.some((other) => other.isInTransaction || lines.isGone(other))) return false
    const over = new AbortController()
    await Promise.race([
      Promise.all(unasked.map((other) => lines.capture(other))),
      sleep(waitMs, undefined, { signal: over.signal }).catch(() => {}),
    ])
    over.abort()
    return this.#settle(context, line)
  }

  #settle(context: ProxyContext<Connection>, line: Line<Connection> | null): boolean {
    const isSettled = context.settle(line)
    return !context.isShared ? isSettled : this.process.settle(line) && isSettled
  }

  #unasked(context: ProxyContext<Connection>, line: Line<Connection> | null): Line<Connection>[] {
    const seen = [...context.seen, ...(context.isShared ? this.process.seen : [])]
    return seen
      .filter(([other, uses]) => other !== line && other.captured.uses < uses)
      .map(([other]) => other)
  }

  started(
    context: ProxyContext<Connection>,
    line: Line<Connection>,
    isRead: boolean,
  ): Use<Connection> {
    this.#running++
    this.#requests++
    if (isRead) this.#reads++
    return new Use(context, this.process, line)
  }

  ended(
    use: Use<Connection>,
    line: Line<Connection>,
    how: { readonly isPrimary: boolean; readonly isWrite: boolean; readonly isSpoiled: boolean },
  ): void {
    this.#running--
    use.ended(how.isPrimary, how.isWrite)
    this.options.lines.giveBack(line, how.isSpoiled)
  }

  /** The connection went with a read that had shown nothing. */
  vanished(use: Use<Connection>, line: Line<Connection>): void {
    this.#running--
    use.failed()
    this.options.lines.giveBack(line, true)
  }

  /** 08006: with the connection went what ran there, which had no effect. */
  lost(error: unknown): DoorError {
    return new DoorError(
      {
        sqlstate: '08006',
        message: `connection to the proxy at ${this.options.name} was lost: ${whyOf(error)}`,
        hint: 'Nothing of an open transaction was kept; run it again.',
      },
      error,
    )
  }

  /** 08007: it may have been committed. */
  unknown(error: unknown): DoorError {
    return new DoorError(
      {
        sqlstate: '08007',
        message: `connection to the proxy at ${this.options.name} was lost (${whyOf(error)}): transaction resolution unknown`,
        hint: 'Read back whether the statement took effect before you run it again.',
      },
      error,
    )
  }

  /** The proxy as the one node; those behind it are in its admin database (`SHOW NODES`). */
  snapshot(): DoorSnapshot {
    const { total, idle, waiting } = this.options.lines.counts
    return {
      primary: null,
      timeline: null,
      nodes: [
        {
          name: this.options.name,
          role: 'unknown',
          state: this.#systemIdentifier === null ? 'not reached yet' : 'up',
          lagMs: null,
          connections: total,
          idle,
          waiting,
          inFlight: this.#running,
          requests: this.#requests,
          reads: this.#reads,
        },
      ],
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const { lines, catalog } = this.options
    await this.ready
    catalog.stop()
    await lines.end()
  }
}

/** Did the connection to the proxy go? */
export function isGone(error: unknown): boolean {
  const server = serverErrorOf(error)
  return server === null ? isLost(error) : isFatal(server)
}
