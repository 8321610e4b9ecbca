import { setTimeout as sleep } from 'node:timers/promises'
import { type Consistency, isCausal } from '../../src/consistency.ts'
import { type History, merge, type Register, registers, type Seen } from './history.ts'
import type { HistoryClient, OpenClient } from './history-client.ts'
import { oneOf, type Random } from './seeded-numbers.ts'

/** A causal token that somebody was given, and what it stands for. */
interface Token {
  readonly text: string
  readonly seen: Seen
}

/** Of a whole run. */
export interface HistoryRun {
  readonly history: History
  readonly consistency: Consistency
  /** Reads are held against what was acknowledged to anybody before they were sent (real-time order). */
  readonly seesAll: boolean
  /** Half of the writes are committed without waiting for the flush: a crash would lose them. */
  readonly isLazy: boolean
  /** The doors: instances of the proxy, and in-process ones. */
  readonly doors: readonly OpenClient[]
  readonly tokens: Token[]
  readonly isOver: () => boolean
  /** SQLSTATEs of what was refused, with how often. */
  readonly refused: Map<string, number>
  operations: number
  disconnected: number
  handedOver: number
}

/** Errors that say that nothing was done. */
const notDone = new Set(['25006', '57P03', '25P02', '40001', '40P01', '08006'])
const writeText = `WITH u AS (UPDATE reg SET v = v + 1, id = $2::int WHERE k = $1::int RETURNING v)
  INSERT INTO log (id, k, v) SELECT $2::int, $1::int, v FROM u RETURNING v`
/** The same in a function that sets synchronous_commit off. */
export const lazyWrite = `CREATE FUNCTION lazy_write(the_k int, the_id int) RETURNS int LANGUAGE plpgsql AS
  $$DECLARE the_v int; BEGIN
    EXECUTE 'set local synchronous' || '_commit = off';
    UPDATE reg SET v = v + 1, id = the_id WHERE k = the_k RETURNING v INTO the_v;
    INSERT INTO log (id, k, v) VALUES (the_id, the_k, the_v); RETURN the_v;
  END$$`
const lazyText = 'select lazy_write($1::int, $2::int) AS v'
const keptTokens = 32

/**
 * One client of the history: random reads, writes, transactions and hand-overs, one after the other,
 * until the run is over. It goes on after errors, and connects again when it was disconnected.
 */
export class HistorySession {
  readonly #run: HistoryRun
  readonly #random: Random
  #client: HistoryClient | null = null
  #seen: Seen = new Int32Array(registers)
  /** What it does now, for a run that hangs. */
  doing = 'nothing'

  constructor(run: HistoryRun, random: Random) {
    this.#run = run
    this.#random = random
  }

  async work(): Promise<void> {
    while (!this.#run.isOver()) {
      try {
        const client = this.#client ?? (await this.#connect())
        await this.#step(client)
      } catch (error) {
        this.#note(error)
        await sleep(5)
      }
    }
    this.doing = 'nothing'
    const client = this.#client
    this.#client = null
    await client?.end()
  }

  async #step(client: HistoryClient): Promise<void> {
    const dice = this.#random(100)
    if (dice < 30) await this.#read(client, [this.#register()])
    else if (dice < 45) await this.#read(client, [this.#register()], 'one')
    else if (dice < 62) await this.#read(client, this.#some())
    else if (dice < 68) await this.#readOnly(client)
    else if (dice < 75) await this.#transaction(client)
    else if (dice < 90) await this.#write(client)
    else if (dice < 94) await this.#giveToken(client)
    else if (dice < 98) await this.#takeToken(client)
    else if (dice < 99) await this.#leave(client)
    else await sleep(this.#random(20))
  }

  async #connect(): Promise<HistoryClient> {
    this.doing = 'connect'
    const open = oneOf(this.#random, this.#run.doors)
    const client: HistoryClient = await open(this.#run.consistency, () => {
      if (this.#client !== client) return
      this.#client = null
      this.#run.disconnected++
    })
    this.#client = client
    // A new session knows nothing but what it is handed.
    this.#seen = new Int32Array(registers)
    return client
  }

  async #leave(client: HistoryClient): Promise<void> {
    const mayTake = this.#random(2) === 0 && isCausal(this.#run.consistency)
    const token = mayTake ? await this.#giveToken(client) : null
    this.#client = null
    await client.end()
    const next = await this.#connect()
    if (token !== null) await this.#use(next, token)
  }

  async #giveToken(client: HistoryClient): Promise<Token | null> {
    if (!isCausal(this.#run.consistency)) return null
    this.doing = 'SHOW causal_token'
    const seen = this.#seen.slice()
    const token = { text: await client.causalToken(), seen }
    this.#run.tokens[this.#random(keptTokens)] = token
    return token
  }

  async #takeToken(client: HistoryClient): Promise<void> {
    const token = this.#run.tokens[this.#random(keptTokens)]
    if (token !== undefined) await this.#use(client, token)
  }

  async #use(client: HistoryClient, token: Token): Promise<void> {
    this.doing = `SET causal_token ${token.text}`
    await client.useToken(token.text)
    merge(this.#seen, token.seen)
    this.#run.handedOver++
    await this.#read(client, this.#some())
  }

  async #read(
    client: HistoryClient,
    ks: readonly number[],
    name?: string,
    seen = this.#seen,
    own: ReadonlySet<number> = new Set(),
  ): Promise<void> {
    const list = ks.map((_, i) => `$${i + 1}`).join(', ')
    const text = `SELECT k, v, id FROM reg WHERE k IN (${list})`
    const what = `${own.size > 0 ? 'transaction' : 'read'} of ${ks.join(',')}`
    this.doing = what
    const before = seen.slice()
    if (this.#run.seesAll) merge(before, this.#run.history.acknowledged)
    const sentAtMs = performance.now()
    const config = name === undefined ? { text } : { text, name }
    const found = await client.query({ ...config, values: ks })
    const rows = found.rows as readonly Register[]
    this.#run.operations++
    if (rows.length !== ks.length) throw new Error(`${rows.length} rows instead of ${ks.length}`)
    // What the transaction itself wrote is nobody's yet.
    const others = rows.filter(({ k }) => !own.has(k))
    const into = this.#seen
    const missed = this.#run.history.read(others, { seen: before, sentAtMs, what }, into)
    if (missed.length === 0) return
    const where = await client.lastRoute()
    for (const one of missed) this.#run.history.settle(one, where)
  }

  async #readOnly(client: HistoryClient): Promise<void> {
    const isRepeatable = this.#random(2) === 0
    this.doing = 'BEGIN READ ONLY'
    try {
      const level = isRepeatable ? 'ISOLATION LEVEL REPEATABLE READ ' : ''
      await client.query({ text: `BEGIN ${level}READ ONLY` })
      await this.#read(client, this.#some())
      // A snapshot is older than what the session learned of the rows it holds beside one another.
      if (!isRepeatable) await this.#read(client, this.#some())
      await client.query({ text: 'COMMIT' })
    } catch (error) {
      await this.#rollBack(client)
      throw error
    }
  }

  async #transaction(client: HistoryClient): Promise<void> {
    const { history } = this.#run
    const isCommitted = this.#random(5) > 0
    const k = this.#register()
    let id = 0
    let isCommitting = false
    try {
      this.doing = 'BEGIN'
      await client.query({ text: 'BEGIN' })
      if (this.#random(2) === 0) await this.#read(client, this.#some())
      id = history.begin(k, this.#seen)
      const v = await this.#send(client, k, id)
      await this.#read(client, [k, (k + 1) % registers], undefined, this.#seen, new Set([k]))
      this.doing = isCommitted ? 'COMMIT' : 'ROLLBACK'
      isCommitting = true
      const { command } = await client.query({ text: isCommitted ? 'COMMIT' : 'ROLLBACK' })
      if (command !== 'COMMIT') {
        history.refuse(id)
        return
      }
      history.acknowledge(id, v)
      this.#seen[k] = Math.max(this.#seen[k] ?? 0, v)
    } catch (error) {
      // Nothing but COMMIT can have committed.
      if (id > 0 && (!isCommitting || !isCommitted || isNotDone(error))) history.refuse(id)
      await this.#rollBack(client)
      throw error
    }
  }

  async #write(client: HistoryClient): Promise<void> {
    const { history } = this.#run
    const k = this.#register()
    const id = history.begin(k, this.#seen)
    try {
      const v = await this.#send(client, k, id, this.#random(2) === 0 ? 'write' : undefined)
      history.acknowledge(id, v)
      this.#seen[k] = Math.max(this.#seen[k] ?? 0, v)
    } catch (error) {
      if (isNotDone(error)) history.refuse(id)
      throw error
    }
  }

  async #send(client: HistoryClient, k: number, id: number, name?: string): Promise<number> {
    const what = `write ${id} of ${k}`
    this.doing = what
    const reading = { seen: this.#seen.slice(), sentAtMs: performance.now(), what }
    const text = this.#run.isLazy && this.#random(2) === 0 ? lazyText : writeText
    const config = name === undefined ? { text } : { text, name: `${name}: ${text}` }
    const { rows } = await client.query({ ...config, values: [k, id] })
    this.#run.operations++
    const v = Number((rows[0] as { readonly v?: unknown } | undefined)?.v)
    // It follows all that its session had seen: the version below its own is one of those.
    this.#run.history.read([{ k, v: v - 1, id: 0 }], reading, this.#seen)
    return v
  }

  async #rollBack(client: HistoryClient): Promise<void> {
    if (this.#client !== client) return
    this.doing = 'ROLLBACK'
    await client.query({ text: 'ROLLBACK' }).catch(() => {})
  }

  #note(error: unknown): void {
    const { code, message } = error as { code?: string; message?: string }
    const key = code ?? message ?? String(error)
    this.#run.refused.set(key, (this.#run.refused.get(key) ?? 0) + 1)
  }

  #register(): number {
    return this.#random(registers)
  }

  #some(): number[] {
    const first = this.#register()
    return [first, (first + 1) % registers, (first + 5) % registers, (first + 11) % registers]
  }
}

function isNotDone(error: unknown): boolean {
  const { code } = error as { code?: string }
  return code !== undefined && notDone.has(code)
}
