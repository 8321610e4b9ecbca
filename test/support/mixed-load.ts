import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { TestProxy } from './proxy.ts'

/** How one client writes its rows into `journal (client text, n int)`. */
export type WriteKind = 'simple' | 'extended' | 'prepared' | 'transaction' | 'late-begin' | 'text'

interface Failure {
  readonly client: string
  readonly kind: WriteKind
  readonly code: string
  readonly message: string
  readonly atMs: number
}

/**
 * Clients that write in every way there is, one row after the other, until they are stopped. What
 * was acknowledged and what was refused is noted; nobody connects again.
 */
export class MixedLoad {
  readonly #clients: readonly pg.Client[]
  readonly #running: Promise<unknown>
  readonly acknowledged: string[] = []
  readonly failures: Failure[] = []
  /** When each row was acknowledged, and the longest that one took, monotonic ms. */
  lastAtMs = 0
  slowestMs = 0
  /** Connections that ended before `stop`. */
  lost = 0
  #isStopped = false

  private constructor(clients: readonly pg.Client[], kinds: readonly WriteKind[]) {
    this.#clients = clients
    for (const client of clients) {
      client.on('end', () => {
        if (!this.#isStopped) this.lost += 1
      })
    }
    this.#running = Promise.all(
      clients.map((client, i) => this.#write(client, i, kinds[i % kinds.length] ?? 'simple')),
    )
  }

  static async start(
    proxy: Pick<TestProxy, 'client'>,
    clients: number,
    kinds: readonly WriteKind[],
  ): Promise<MixedLoad> {
    const made = await Promise.all(Array.from({ length: clients }, () => proxy.client()))
    return new MixedLoad(made, kinds)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
    await Promise.all(this.#clients.map((client) => client.end().catch(() => {})))
  }

  async #write(client: pg.Client, i: number, kind: WriteKind): Promise<void> {
    for (let n = 0; !this.#isStopped; n++) {
      const name = `${kind}${i}`
      const beganMs = performance.now()
      try {
        await writeRow(client, kind, name, n)
        this.acknowledged.push(`${name}/${n}`)
        this.lastAtMs = performance.now()
        this.slowestMs = Math.max(this.slowestMs, this.lastAtMs - beganMs)
      } catch (error) {
        const { code = '?', message } = error as { code?: string; message: string }
        this.failures.push({ client: name, kind, code, message, atMs: performance.now() })
        if (kind === 'transaction' || kind === 'late-begin') {
          await client.query('ROLLBACK').catch(() => {})
        }
        await sleep(20)
      }
      // The test itself, and pgsplit, run in this process, too.
      await sleep(2)
    }
  }
}

async function writeRow(
  client: pg.Client,
  kind: WriteKind,
  name: string,
  n: number,
): Promise<unknown> {
  const text = 'INSERT INTO journal VALUES ($1, $2)'
  const values = [name, n]
  const plain = `INSERT INTO journal VALUES ('${name}', ${n})`
  switch (kind) {
    case 'simple':
      return client.query(plain)
    case 'extended':
      return client.query(text, values)
    case 'prepared':
      return client.query({ name: 'write', text, values })
    case 'text':
      return client.query(`BEGIN; ${plain}; COMMIT`)
    case 'late-begin':
      // Nothing has been sent when this waits: only the answer to BEGIN, which pgsplit gave.
      await client.query('BEGIN')
      await sleep(1)
      await client.query({ name: 'write', text, values })
      return client.query('COMMIT')
    case 'transaction':
      await client.query('BEGIN')
      await client.query('SELECT count(*) FROM item')
      await client.query(text, values)
      return client.query('COMMIT')
    default:
      return kind satisfies never
  }
}
