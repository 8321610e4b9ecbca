import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { STALE } from './demo-table.ts'
import { ACCOUNTS } from './sample-data.ts'

export interface WorkloadOptions {
  /** Connection string of pgsplit. */
  readonly url: string
  readonly clients: number
  /** Requests per second of all clients together, at most. */
  readonly rate: number
  readonly onError: (text: string) => void
}

const CONNECT_TIMEOUT_MS = 10_000
const QUERY_TIMEOUT_MS = 20_000
const AFTER_ERROR_MS = 200
/** Different error texts that are kept; more are counted under one. */
const MOST_ERRORS = 20

/** Clients that read, write and run transactions at a bounded rate until `stop`. */
export class Workload {
  reads = 0
  writes = 0
  transactions = 0
  readBack = 0
  errorCount = 0
  readonly errors = new Map<string, number>()
  readonly #options: WorkloadOptions
  readonly #stopping = new AbortController()
  #loops: Promise<void>[] = []

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  start(): void {
    const { clients } = this.#options
    for (let i = 0; i < clients; i++) this.#loops.push(this.#runClient(i / clients))
  }

  /** Lets every client finish its request and resolves when all are disconnected. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#loops)
    this.#loops = []
  }

  /** One client; `phase` (0 to 1) spreads the clients over the interval. */
  async #runClient(phase: number): Promise<void> {
    const intervalMs = (1000 * this.#options.clients) / this.#options.rate
    const { signal } = this.#stopping
    let client: pg.Client | undefined
    let due = performance.now() + phase * intervalMs
    while (await this.#pause(due - performance.now())) {
      // behind its time, it goes on from here instead of catching up in a burst
      due = Math.max(due + intervalMs, performance.now())
      try {
        client ??= await connect(this.#options.url)
        await this.#request(client)
      } catch (error) {
        this.#failed(error instanceof Error ? error.message : String(error))
        await client?.end().catch(() => {})
        client = undefined
        due = performance.now() + AFTER_ERROR_MS
      }
      if (signal.aborted) break
    }
    await client?.end().catch(() => {})
  }

  async #pause(ms: number): Promise<boolean> {
    const { signal } = this.#stopping
    if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => {})
    return !signal.aborted
  }

  async #request(client: pg.Client): Promise<void> {
    const dice = Math.random()
    if (dice < 0.6) {
      await client.query({
        name: 'account',
        text: 'SELECT owner, balance FROM accounts WHERE id = $1',
        values: [anAccount()],
      })
      this.reads++
    } else if (dice < 0.75) {
      await client.query(
        `SELECT o.item, sum(o.total) FROM orders o JOIN accounts a ON a.id = o.account_id
         WHERE a.id BETWEEN $1 AND $1 + 20 GROUP BY o.item ORDER BY o.item`,
        [anAccount()],
      )
      this.reads++
    } else if (dice < 0.8) {
      await client.query(`SELECT count(*) FROM orders WHERE account_id = ${anAccount()}`)
      this.reads++
    } else if (dice < 0.88) {
      await client.query('UPDATE accounts SET balance = balance + 1 WHERE id = $1', [anAccount()])
      this.writes++
    } else if (dice < 0.95) {
      await this.#orderAndLook(client)
    } else {
      await this.#transfer(client)
    }
  }

  /** A client must see its own write: in the transaction, and wherever its next read is served. */
  async #orderAndLook(client: pg.Client): Promise<void> {
    await client.query('BEGIN')
    const inserted = await client.query<{ id: string }>(
      'INSERT INTO orders (account_id, item, total) VALUES ($1, $2, $3) RETURNING id',
      [anAccount(), 'tea', 5],
    )
    const look = {
      text: 'SELECT total FROM orders WHERE id = $1',
      values: [inserted.rows[0]?.id],
    }
    const inside = await client.query(look)
    if (inside.rows.length !== 1) this.#failed('a transaction did not see its own write')
    await client.query('COMMIT')
    this.transactions++
    const after = await client.query(look)
    this.reads++
    this.readBack++
    if (after.rows.length !== 1) this.#failed(STALE)
  }

  async #transfer(client: pg.Client): Promise<void> {
    // in one order for all clients, so that no two wait for each other
    const [from, to] = [anAccount(), anAccount()].sort((a, b) => a - b)
    await client.query('BEGIN')
    await client.query('SELECT balance FROM accounts WHERE id = $1 FOR UPDATE', [from])
    await client.query('UPDATE accounts SET balance = balance - 1 WHERE id = $1', [from])
    await client.query('UPDATE accounts SET balance = balance + 1 WHERE id = $1', [to])
    await client.query('COMMIT')
    this.transactions++
  }

  #failed(text: string): void {
    this.errorCount++
    const known = this.errors.has(text) || this.errors.size < MOST_ERRORS
    const key = known ? text : 'other errors'
    const times = (this.errors.get(key) ?? 0) + 1
    this.errors.set(key, times)
    if (times === 1) this.#options.onError(key)
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    application_name: 'pgsplit demo',
  })
  // a lost connection fails the next request; without a listener it would end the process
  client.on('error', () => {})
  await client.connect()
  return client
}

function anAccount(): number {
  return 1 + Math.floor(Math.random() * ACCOUNTS)
}
