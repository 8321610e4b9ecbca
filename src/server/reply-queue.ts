import { traffic } from '../net/outlet.ts'
import type { FrameSink } from '../wire/framer.ts'

/** Who gets the server's answer to one Query, FunctionCall or Sync, frame by frame. */
export interface ReplyReceiver extends Pick<FrameSink, 'onFrame' | 'onPart'> {
  /** ReadyForQuery: the answer is complete and this receiver has left the queue. */
  onReady(status: number, buffer: Buffer, start: number, end: number): void
  /** No more bytes of this chunk: what was collected by reference must be sent or copied now. */
  onChunkEnd(): void
  /** The connection is gone; nothing follows. */
  onLost(error: Error): void
}

/** Swallows one answer that nobody waits for. */
export const swallow: ReplyReceiver = {
  onFrame(): void {},
  onPart(): void {},
  onReady(): void {},
  onChunkEnd(): void {},
  onLost(): void {},
}

/** FIFO of expected replies: a ring that grows. What is in flight is in here and nowhere else. */
export class ReplyQueue {
  #ring: (ReplyReceiver | null)[] = new Array(8).fill(null)
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  push(receiver: ReplyReceiver): void {
    if (this.#size === this.#ring.length) this.#grow()
    this.#ring[(this.#head + this.#size) & (this.#ring.length - 1)] = receiver
    this.#size++
    traffic.inFlight++
  }

  peek(): ReplyReceiver | null {
    return this.#size === 0 ? null : (this.#ring[this.#head] as ReplyReceiver)
  }

  shift(): ReplyReceiver | null {
    if (this.#size === 0) return null
    const receiver = this.#ring[this.#head] as ReplyReceiver
    this.#ring[this.#head] = null
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.#size--
    traffic.inFlight--
    return receiver
  }

  /** The receiver `index` places behind the head. */
  at(index: number): ReplyReceiver | null {
    if (index >= this.#size) return null
    return this.#ring[(this.#head + index) & (this.#ring.length - 1)] as ReplyReceiver
  }

  /** Puts another receiver in the place of one, which from then on gets nothing. */
  replaceAt(index: number, receiver: ReplyReceiver): void {
    if (index < this.#size) this.#ring[(this.#head + index) & (this.#ring.length - 1)] = receiver
  }

  /** Puts another receiver in the place of `receiver`, wherever it is in the queue. */
  replace(receiver: ReplyReceiver, by: ReplyReceiver): void {
    for (let i = 0; i < this.#size; i++) if (this.at(i) === receiver) this.replaceAt(i, by)
  }

  /** The connection is closed on purpose: nobody waits for what was still expected. */
  abandon(): void {
    while (this.shift() !== null);
  }

  #grow(): void {
    const grown: (ReplyReceiver | null)[] = new Array(this.#ring.length * 2).fill(null)
    for (let i = 0; i < this.#size; i++) grown[i] = this.at(i)
    this.#ring = grown
    this.#head = 0
  }
}
