import { txStatus } from '../wire/message-types.ts'
import type { Hearer, NotificationHub } from './notification-hub.ts'
import type { ClientSession } from './session.ts'

/** A LISTEN, or an UNLISTEN (of all channels: null), that takes effect at COMMIT. */
interface Change {
  readonly isListen: boolean
  readonly channel: string | null
}

interface Waiting {
  readonly channel: string
  readonly frame: Buffer
  /** Its LISTEN is not committed yet. */
  isTentative: boolean
  /** The client gets it whatever it does now. */
  isDue: boolean
}

/** So much may wait for a client that is in a transaction or doesn't read, bytes. */
const maxUnreadBytes = 16 * 1024 * 1024

/** How long a ReadyForQuery waits for the notifications that belong in front of it, ms. */
const maxHeldMs = 1_000

/**
 * What one client listens to, by the hub. As from PostgreSQL itself, LISTEN and UNLISTEN take effect
 * at COMMIT, and notifications come while nothing runs and no transaction is open: at once, or in
 * front of the ReadyForQuery that ends what runs. All that was notified before the client's request
 * was answered comes before that answer's end.
 */
export class Listener implements Hearer {
  readonly #session: ClientSession
  readonly #hub: NotificationHub
  /** What it listens to. */
  readonly #channels = new Set<string>()
  #pending: Change[] = []
  /** Channels whose LISTEN may be committed at any moment: what comes on them is kept. */
  readonly #tentative = new Set<string>()
  /** Channels that the hub was asked for. */
  readonly #wanted = new Set<string>()
  /** Notifications that wait for the end of a request or transaction, in order. */
  #queue: Waiting[] = []
  #unreadBytes = 0
  /** Bytes to the client from a ReadyForQuery on, held until all notifications are there. */
  #held: Buffer[] | null = null
  #heldTimer: NodeJS.Timeout | null = null
  /** The client was last told that it is in a transaction. */
  #isInBlock = false
  /** Another ReadyForQuery came meanwhile. */
  #isHeldAgain = false

  constructor(session: ClientSession, hub: NotificationHub) {
    this.#session = session
    this.#hub = hub
  }

  get channels(): ReadonlySet<string> {
    return this.#channels
  }

  /** How many changes wait for their COMMIT: what a rollback goes back to. */
  get pending(): number {
    return this.#pending.length
  }

  /** Do notifications on the channel come by the hub? */
  hears(channel: string): boolean {
    return this.#channels.has(channel) || this.#tentative.has(channel)
  }

  /**
   * Calls back when the hub listens on `channels` and has handed on what was notified before, so
   * that what comes from now on is what the client may hear once it has committed.
   */
  prepare(
    channels: readonly string[],
    mayCommit: boolean,
    done: (error: Error | null) => void,
  ): () => void {
    for (const channel of channels) {
      this.#wanted.add(channel)
      this.#hub.add(channel, this)
    }
    return this.#hub.settle((error) => {
      // What was notified before the client said UNLISTEN came while it was idle.
      if (this.#session.transaction === null) this.#makeDue()
      // A process that listens already goes on from where it was in front of the transaction.
      if (error === null && (mayCommit || this.#channels.size > 0)) this.#capture(channels)
      done(error)
    })
  }

  #makeDue(): void {
    if (this.#held === null) this.release()
    else for (const one of this.#queue) if (!one.isTentative) one.isDue = true
  }

  #capture(channels: readonly string[]): void {
    const begun = new Set(channels)
    for (const { isListen, channel } of this.#pending) {
      if (isListen && channel !== null) begun.add(channel)
    }
    if (this.#channels.size === 0) {
      this.#queue = this.#queue.filter((one) => !one.isTentative || !begun.has(one.channel))
    }
    for (const channel of begun) if (!this.#channels.has(channel)) this.#tentative.add(channel)
  }

  note(change: Change): void {
    this.#pending.push(change)
  }

  /** Takes back what came behind the first `pending` changes. */
  rollBack(pending: number): void {
    if (this.#pending.length > pending) this.#pending.length = pending
  }

  commit(): void {
    const changes = this.#pending
    if (changes.length === 0) return
    this.#pending = []
    for (const { isListen, channel } of changes) {
      if (channel === null) this.#channels.clear()
      else if (isListen) this.#channels.add(channel)
      else this.#channels.delete(channel)
    }
    // PostgreSQL, too, looks at what is notified during a transaction only behind it.
    this.#queue = this.#queue.filter(
      (one) => one.isTentative || one.isDue || this.#channels.has(one.channel),
    )
    for (const one of this.#queue) if (this.#channels.has(one.channel)) one.isTentative = false
    for (const channel of this.#channels) this.#tentative.delete(channel)
  }

  /** Nothing of the session runs that could still commit: forgets what nothing has come of. */
  tidy(): void {
    this.#tentative.clear()
    this.#queue = this.#queue.filter(({ isTentative }) => !isTentative)
    const needed = new Set(this.#channels)
    for (const { channel } of this.#pending) if (channel !== null) needed.add(channel)
    for (const channel of this.#wanted) {
      if (needed.has(channel)) continue
      this.#wanted.delete(channel)
      this.#hub.remove(channel, this)
    }
    const isOver = this.#wanted.size === 0 && this.#held === null && this.#queue.length === 0
    if (isOver && this.#session.listener === this) this.#session.listener = null
  }

  /** DISCARD ALL. */
  clear(): void {
    this.#pending = [{ isListen: false, channel: null }]
    this.commit()
  }

  close(): void {
    if (this.#heldTimer !== null) clearTimeout(this.#heldTimer)
    this.#held = null
    for (const channel of this.#wanted) this.#hub.remove(channel, this)
    this.#wanted.clear()
  }

  // ---- what the hub tells

  hear(channel: string, frame: Buffer): void {
    if (this.#session.isGone) return
    if (this.#channels.has(channel)) this.#take(channel, frame)
    else if (this.#tentative.has(channel))
      this.#wait({ channel, frame, isTentative: true, isDue: false })
  }

  loseHub(why: string): void {
    this.#session.sendAway(
      '57P01',
      `terminating connection because what it listens by was lost: ${why}`,
      'Connect again and LISTEN again; what was notified meanwhile is not delivered.',
    )
  }

  #take(channel: string, frame: Buffer): void {
    const session = this.#session
    // The hub speaks UTF-8; bytes that mean the same everywhere need no conversion.
    if (!session.isUtf8 && frame.some((byte) => byte >= 0x80)) {
      session.sendAway(
        '22P05',
        'a notification has characters that this client would get in the wrong encoding',
        'LISTEN after client_encoding was set, or leave it at UTF8.',
      )
      return
    }
    if (this.#held === null && session.isQuiet) {
      if (this.#queue.length > 0) this.release()
      session.link.write(frame)
      session.tally.sent(frame.length)
      if (session.link.hasBacklog(maxUnreadBytes)) this.#endUnread()
      return
    }
    this.#wait({ channel, frame, isTentative: false, isDue: false })
  }

  #wait(one: Waiting): void {
    this.#queue.push(one)
    this.#unreadBytes += one.frame.length
    if (this.#unreadBytes > maxUnreadBytes) this.#endUnread()
  }

  #endUnread(): void {
    this.#session.sendAway(
      '54000',
      `more than ${maxUnreadBytes} bytes of notifications wait for this client`,
      'Read them while they come, and keep transactions short where the session listens.',
    )
  }

  // ---- the way to the client

  /** A ReadyForQuery is about to go out: it waits for the notifications that come before it. */
  holdReady(status: number): void {
    const wasInBlock = this.#isInBlock
    this.#isInBlock = status !== txStatus.idle
    // At BEGIN, too: what was notified before it comes before it.
    if (wasInBlock && this.#isInBlock) return
    if (this.#held !== null) {
      this.#isHeldAgain = true
      return
    }
    this.#held = []
    this.#heldTimer = setTimeout(() => this.#open(), maxHeldMs)
    this.#heldTimer.unref()
    this.#fence()
  }

  #fence(): void {
    this.#hub.settle(() => {
      if (this.#held === null) return
      if (this.#isHeldAgain) {
        this.#isHeldAgain = false
        this.#fence()
      } else this.#open()
    })
  }

  /** Is what goes to the client held back now? */
  get isHolding(): boolean {
    return this.#held !== null
  }

  /** True: the bytes were kept. */
  hold(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#held === null) return false
    this.#held.push(Buffer.from(bytes.subarray(start, end)))
    return true
  }

  #open(): void {
    const session = this.#session
    if (this.#heldTimer !== null) clearTimeout(this.#heldTimer)
    this.#heldTimer = null
    this.release()
    if (session.isGone) return
    if (session.inFlight.length === 0 && session.waiting.request === null) this.tidy()
    session.pump()
  }

  /** Lets go what is held, the notifications first. */
  release(): void {
    const held = this.#held
    this.#held = null
    const final = this.#queue.filter(({ isTentative }) => !isTentative)
    this.#queue = this.#queue.filter(({ isTentative }) => isTentative)
    this.#unreadBytes = 0
    for (const bytes of [...final.map(({ frame }) => frame), ...(held ?? [])]) {
      this.#session.write(bytes, 0, bytes.length)
    }
  }
}
