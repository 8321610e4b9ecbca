import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { TestProxy } from './proxy.ts'

/**
 * Clients that write rows into `journal (client int, n int)`, one after the other, until they are
 * stopped; odd ones in transactions. They go on after errors, as applications do.
 */
export class WriteLoad {
  readonly #clients: readonly pg.Client[]
  readonly #running: Promise<unknown>
  /** Rows whose commit was acknowledged, as `client/n`. */
  readonly acknowledged: string[] = []
  /** SQLSTATEs of what was refused, with how often. */
  readonly refused = new Map<string, number>()
  /** Connections that ended before `stop`. */
  lost = 0
  #isStopped = false

  private constructor(clients: readonly pg.Client[]) {
    this.#clients = clients
    for (const client of clients) {
      client.on('end', () => {
        if (!this.#isStopped) this.lost += 1
      })
    }
    this.#running = Promise.all(clients.map((client, i) => this.#write(client, i)))
  }

  static async start(proxy: Pick<TestProxy, 'client'>, clients: number): Promise<WriteLoad> {
    return new WriteLoad(await Promise.all(Array.from({ length: clients }, () => proxy.client())))
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
    await Promise.all(this.#clients.map((client) => client.end().catch(() => {})))
  }

  async #write(client: pg.Client, i: number): Promise<void> {
    const text = 'INSERT INTO journal VALUES ($1, $2)'
    for (let n = 0; !this.#isStopped; n++) {
      try {
        if (i % 2 === 1) await client.query('BEGIN')
        await client.query(text, [i, n])
        if (i % 2 === 1) await client.query('COMMIT')
        this.acknowledged.push(`${i}/${n}`)
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
        this.refused.set(code, (this.refused.get(code) ?? 0) + 1)
        if (i % 2 === 1) await client.query('ROLLBACK').catch(() => {})
        await sleep(20)
      }
      await sleep(2)
    }
  }
}
