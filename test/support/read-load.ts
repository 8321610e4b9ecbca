import type pg from 'pg'
import type { TestProxy } from './proxy.ts'

/** Autocommit reads by many clients at once, until they are stopped. */
export class ReadLoad {
  readonly #clients: readonly pg.Client[]
  readonly #running: Promise<unknown>
  /** What clients were told instead of a row. */
  readonly errors: unknown[] = []
  reads = 0
  /** The same by client. */
  readonly byClient: number[] = []
  #isStopped = false

  private constructor(clients: readonly pg.Client[], text: string) {
    this.#clients = clients
    this.#running = Promise.all(clients.map((client, i) => this.#read(client, i, text)))
  }

  /** Half of the clients use named prepared statements, half simple queries. */
  static async start(
    proxy: Pick<TestProxy, 'client'>,
    clients: number,
    text = 'SELECT count(*) FROM item',
  ): Promise<ReadLoad> {
    const made = await Promise.all(Array.from({ length: clients }, () => proxy.client()))
    return new ReadLoad(made, text)
  }

  /** Lets every client finish its read and leave. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
    await Promise.all(this.#clients.map((client) => client.end().catch(() => {})))
  }

  async #read(client: pg.Client, i: number, text: string): Promise<void> {
    while (!this.#isStopped && this.errors.length < 100) {
      try {
        if (i % 2 === 0) await client.query(text)
        else await client.query({ name: 'read', text, values: [] })
        this.reads++
        this.byClient[i] = (this.byClient[i] ?? 0) + 1
      } catch (error) {
        this.errors.push(error)
      }
      // The test itself runs in this process, too.
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
}
