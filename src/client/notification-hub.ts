import { nowMs } from '../net/turn-clock.ts'
import { ask, errorOf } from '../server/ask.ts'
import type { ConnectionHolder, ServerConnection } from '../server/server-connection.ts'
import { query } from '../wire/frontend-messages.ts'

/** Who hears notifications by the hub. */
export interface Hearer {
  /** A NotificationResponse, which may be kept and is nobody's to change. */
  hear(channel: string, frame: Buffer): void
  /** The hub's connection is gone: from here on notifications may be missed. */
  loseHub(why: string): void
}

export interface HubOptions {
  /** Connects to the present primary, with client_encoding UTF8. */
  open(): Promise<ServerConnection>
  /** What the client that notified was told as its process id at log-in; null: it isn't ours. */
  processIdOf(serverProcessId: number): number | null
  /** The hub has got its connection, or lost it. */
  onChange?(isOpen: boolean, why: string): void
  /** How long the connection is kept when nobody listens, ms. */
  readonly idleMs?: number
}

interface Wish {
  done(error: Error | null): void
}

/** Nobody waits for a `fence`: many have one question. */
const fenceMs = 5

/** Pause between those that are urgent, ms: writers that take turns at a connection ask for many. */
const minFenceMs = 1

/** How long the server may take to answer the hub, ms. */
const answerMs = 10_000

/**
 * LISTEN for all clients of one database: one server connection carries the channels of all of them,
 * and none of them needs one of its own.
 *
 * Its questions are *fences*: PostgreSQL signals the listeners of a notification before it answers
 * the COMMIT, and a session hears what it was signalled before it is told that it may go on. So what
 * was notified before a question was asked has come when the question is answered.
 */
export class NotificationHub implements ConnectionHolder {
  readonly processId = 0
  readonly #options: HubOptions
  #connection: ServerConnection | null = null
  #isOpening = false
  #isClosed = false
  /** Channels that the server has been told. */
  #told = new Set<string>()
  readonly #hearers = new Map<string, Set<Hearer>>()
  /** Those that the next question answers. */
  #wishes: Wish[] = []
  #isAsking = false
  #idleTimer: NodeJS.Timeout | null = null
  #fenceTimer: NodeJS.Timeout | null = null
  #fencedAtMs = 0
  /** Questions asked, and answered. */
  #asked = 0
  #answered = 0

  constructor(options: HubOptions) {
    this.#options = options
  }

  /** Somebody listens, or is about to. */
  get isActive(): boolean {
    return this.#hearers.size > 0
  }

  get channels(): readonly string[] {
    return [...this.#hearers.keys()]
  }

  get nodeIndex(): number | null {
    return this.#connection?.nodeIndex ?? null
  }

  add(channel: string, hearer: Hearer): void {
    const hearers = this.#hearers.get(channel)
    if (hearers === undefined) this.#hearers.set(channel, new Set([hearer]))
    else hearers.add(hearer)
  }

  /** The server is told with the next question, which is asked when a channel has nobody left. */
  remove(channel: string, hearer: Hearer): void {
    const hearers = this.#hearers.get(channel)
    if (hearers === undefined || !hearers.delete(hearer) || hearers.size > 0) return
    this.#hearers.delete(channel)
    if (this.#connection !== null) this.settle(() => {})
  }

  /**
   * Calls back when the server listens on all channels that were added, and all that was notified
   * before this call has been heard; with an error when that can't be had. The result takes the
   * call back. Never calls back at once.
   */
  settle(done: (error: Error | null) => void): () => void {
    const wish: Wish = { done }
    this.#wishes.push(wish)
    queueMicrotask(() => this.#work())
    return () => {
      wish.done = () => {}
    }
  }

  /**
   * The number of a question that will be asked before long, or now if it may be: when it `isPast`,
   * all that was notified before this call has been heard.
   */
  fence(isUrgent: boolean): number {
    if (!this.isActive || this.#connection === null) return this.#asked + 1
    const now = nowMs()
    if (isUrgent && now - this.#fencedAtMs > minFenceMs) {
      this.#fencedAtMs = now
      this.settle(() => {})
      // At once: what is asked of other servers next must not overtake it.
      this.#work()
      return this.#isAsking && this.#wishes.length === 0 ? this.#asked : this.#asked + 1
    }
    this.#fenceTimer ??= setTimeout(() => {
      this.#fenceTimer = null
      if (this.#connection !== null) this.settle(() => {})
    }, fenceMs).unref()
    return this.#asked + 1
  }

  isPast(fence: number): boolean {
    return this.#answered >= fence
  }

  /** Process id, as told at log-in, of the client that notified by this server process; null: not ours. */
  clientOf(serverProcessId: number): number | null {
    return this.#options.processIdOf(serverProcessId)
  }

  /** The node is the primary no more. */
  leave(nodeIndex: number, why: string): void {
    if (this.#connection?.nodeIndex === nodeIndex) this.#lose(why)
  }

  close(): void {
    this.#isClosed = true
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer)
    if (this.#fenceTimer !== null) clearTimeout(this.#fenceTimer)
    this.#lose('pgsplit is shutting down')
  }

  #work(): void {
    if (this.#isAsking || this.#isOpening || this.#wishes.length === 0) return
    if (this.#isClosed) this.#fail(new Error('the hub is closed'))
    else if (this.#connection === null) this.#open()
    else this.#ask(this.#connection)
  }

  #open(): void {
    if (!this.isActive) {
      // Nothing was missed by nobody.
      const wishes = this.#wishes
      this.#wishes = []
      for (const { done } of wishes) done(null)
      return
    }
    this.#isOpening = true
    this.#options.open().then(
      (connection) => {
        this.#isOpening = false
        if (this.#isClosed || connection.isClosed) {
          connection.close()
          this.#fail(new Error('the connection was lost at once'))
          return
        }
        this.#connection = connection
        connection.hold(this)
        this.#options.onChange?.(true, 'somebody listens')
        this.#work()
      },
      (error: unknown) => {
        this.#isOpening = false
        this.#fail(error instanceof Error ? error : new Error(String(error)))
      },
    )
  }

  #ask(connection: ServerConnection): void {
    const wishes = this.#wishes
    this.#wishes = []
    const wanted = new Set(this.#hearers.keys())
    const commands: string[] = []
    for (const name of wanted) if (!this.#told.has(name)) commands.push(`LISTEN ${quoted(name)}`)
    for (const name of this.#told) if (!wanted.has(name)) commands.push(`UNLISTEN ${quoted(name)}`)
    const bytes = query(commands.join('; '))
    this.#isAsking = true
    this.#asked++
    const timer = setTimeout(() => {
      this.#lose(`the server did not answer within ${answerMs} ms`)
    }, answerMs)
    timer.unref()
    const end = (): void => {
      clearTimeout(timer)
      this.#isAsking = false
      this.#answered++
    }
    ask(connection, bytes, {
      answered: (answer) => {
        end()
        const fields = errorOf(answer)
        if (fields === null) this.#told = wanted
        for (const { done } of wishes) done(fields === null ? null : new Error(fields.message))
        this.#restOrGoOn()
      },
      lost: (error) => {
        end()
        for (const { done } of wishes) done(error)
      },
    })
  }

  #restOrGoOn(): void {
    if (this.#wishes.length > 0) {
      this.#work()
      return
    }
    if (this.isActive || this.#idleTimer !== null) return
    this.#idleTimer = setTimeout(() => {
      this.#idleTimer = null
      this.rest()
    }, this.#options.idleMs ?? 10_000)
    this.#idleTimer.unref()
  }

  /** Closes the connection, if nobody listens. */
  rest(): void {
    const connection = this.#connection
    if (connection === null || this.isActive || this.#isAsking || this.#wishes.length > 0) return
    this.#forget()
    connection.letGo()
    connection.close()
    this.#options.onChange?.(false, 'nobody listens any more')
  }

  #fail(error: Error): void {
    const wishes = this.#wishes
    this.#wishes = []
    for (const { done } of wishes) done(error)
  }

  #forget(): void {
    this.#connection = null
    this.#told = new Set()
  }

  #lose(why: string): void {
    const connection = this.#connection
    if (connection === null) return
    this.#forget()
    connection.letGo()
    connection.destroy(new Error(why))
    this.#tellLoss(why)
  }

  /** Whoever listens must know that notifications may be missing. */
  #tellLoss(why: string): void {
    this.#options.onChange?.(false, why)
    const hearers = new Set<Hearer>()
    for (const some of this.#hearers.values()) for (const hearer of some) hearers.add(hearer)
    for (const hearer of hearers) hearer.loseHub(why)
    this.#fail(new Error(why))
  }

  // ---- the connection's holder

  say(): void {}
  noteParameter(): void {}

  onConnectionLost(connection: ServerConnection): void {
    if (this.#connection !== connection) return
    this.#forget()
    this.#tellLoss(connection.fatal?.message ?? 'the connection was closed')
  }

  notify(shown: Buffer): void {
    const zero = shown.indexOf(0, 9)
    if (zero < 0) return
    const channel = shown.toString('utf8', 9, zero)
    const hearers = this.#hearers.get(channel)
    if (hearers === undefined) return
    const frame = Buffer.from(shown)
    const processId = this.clientOf(frame.readInt32BE(5))
    if (processId !== null) frame.writeInt32BE(processId, 5)
    for (const hearer of [...hearers]) hearer.hear(channel, frame)
  }
}

/** `name` as an identifier. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
