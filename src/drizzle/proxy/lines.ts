import { formatCausalToken, parseCausalToken, type TokenText } from '../../routing/watermark.ts'
import { ConnectionPool, type Connector } from '../connection-pool.ts'
import { DoorError } from '../door-error.ts'
import type { DriverPoolOptions, DriverTraits, NodeTarget } from '../driver-pool.ts'
import { covers, joinedTokens, Line } from './line.ts'

/** What the door must know of a driver to speak with the proxy itself. */
export interface ProxyDriver<Connection> extends DriverTraits {
  connector(target: NodeTarget): Connector<Connection>
  /** The first value of the first row; '' without. */
  ask(connection: Connection, text: string): Promise<string>
  command(connection: Connection, text: string): Promise<unknown>
}

/** The connections to the proxy, and what each of them has written and seen. */
export class Lines<Connection extends object> {
  readonly #driver: ProxyDriver<Connection>
  readonly #pool: ConnectionPool<Connection>
  readonly #lines = new WeakMap<Connection, Line<Connection>>()

  constructor(
    where: Pick<NodeTarget, 'host' | 'port'>,
    options: DriverPoolOptions,
    connector: Connector<Connection>,
    driver: ProxyDriver<Connection>,
  ) {
    this.#driver = driver
    this.#pool = new ConnectionPool(where, options, {
      ...connector,
      open: async (timeoutMs, onLost) => {
        const connection = await connector.open(timeoutMs, onLost)
        try {
          await this.#assertProxy(connection)
          return connection
        } catch (error) {
          connector.destroy(connection)
          throw error
        }
      },
    })
  }

  /** A plain server takes hints for comments and tokens for settings: writes and reads would go astray. */
  async #assertProxy(connection: Connection): Promise<void> {
    try {
      await this.#driver.ask(connection, 'SHOW pgsplit.cluster')
    } catch (error) {
      const { code } = error as { readonly code?: unknown }
      if (code !== '42704') throw error
      throw new DoorError(
        {
          sqlstate: '08001',
          message: 'what listens at the URL of proxy is no pgsplit',
          hint: 'Give the URL of a server as primary, and that of pgsplit as proxy.',
        },
        error,
      )
    }
  }

  get counts(): ConnectionPool<Connection>['counts'] {
    return this.#pool.counts
  }

  isGone({ connection }: Line<Connection>): boolean {
    return !this.#pool.has(connection)
  }

  takeThis({ connection }: Line<Connection>): boolean {
    return this.#pool.takeThis(connection)
  }

  /** Any free one. Rejects when none can be had: nothing was sent then. */
  take(): Promise<Line<Connection>> {
    return new Promise((resolve, reject) => {
      this.#pool.checkout((error, connection) => {
        if (connection === null) reject(error)
        else resolve(this.#lineOf(connection))
      })
    })
  }

  #lineOf(connection: Connection): Line<Connection> {
    let line = this.#lines.get(connection)
    if (line === undefined) {
      line = new Line(connection)
      this.#lines.set(connection, line)
    }
    return line
  }

  /** Whoever waits for its watermark gets that first. */
  giveBack(line: Line<Connection>, isSpoiled: boolean): void {
    const { onFree } = line
    line.isInTransaction = false
    line.onFree = null
    if (onFree === null || isSpoiled) {
      this.#pool.checkin(line.connection, isSpoiled)
      onFree?.()
      return
    }
    void this.#ask(line).then(onFree)
  }

  /** Brings `line.captured` up to date, as soon as the line is free. Never rejects. */
  capture(line: Line<Connection>): Promise<void> {
    if (line.capture === null) {
      const { promise, resolve } = Promise.withResolvers<void>()
      line.capture = promise.then(() => {
        line.capture = null
      })
      if (this.isGone(line)) resolve()
      else if (this.takeThis(line)) void this.#ask(line).then(resolve)
      else line.onFree = resolve
    }
    return line.capture
  }

  async #ask(line: Line<Connection>): Promise<void> {
    const { uses, connection } = line
    let isSpoiled = false
    try {
      const text = await this.#driver.ask(connection, 'SHOW pgsplit.causal_token')
      line.captured = { token: parseCausalToken(text), uses }
    } catch {
      // Whoever needs it reads from the primary.
      isSpoiled = true
    }
    this.#pool.checkin(connection, isSpoiled)
  }

  /** Reads on the line wait for the token from now on. */
  async tell(line: Line<Connection>, token: TokenText | null): Promise<void> {
    if (token === null || covers(line.told, token)) return
    // Parameters can't be bound in SET; this text is made of numbers that were parsed.
    const text = formatCausalToken(token)
    await this.#driver.command(line.connection, `SET pgsplit.causal_token = '${text}'`)
    line.told = joinedTokens(line.told, token)
  }

  end(): Promise<void> {
    return this.#pool.end()
  }
}
