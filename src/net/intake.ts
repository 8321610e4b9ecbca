import { HeldBytes } from './held-bytes.ts'
import { inTurn } from './outlet.ts'
import { TurnShare, turn } from './turn-share.ts'

/** More than this read and not taken stops the reading, bytes. */
const maxHeldBytes = 64 * 1024

const nothing = Buffer.alloc(0)

/** Whose bytes they are. */
export interface IntakeOwner {
  readonly onChunk: (chunk: Buffer, share: TurnShare) => number
  /** Lets its stream flow, or holds it back. */
  flow(isFlowing: boolean): void
}

/**
 * What comes in on one stream, on its way to who takes it. That one takes of a chunk what its share
 * of the turn allows: the rest waits at the back of the queue of all, and the stream waits
 * meanwhile. So whatever a peer sends at once, what others wait for it in one turn is bounded.
 */
export class Intake extends TurnShare {
  readonly #owner: IntakeOwner
  #held: HeldBytes | null = null
  #isTaking = false
  #isQueued = false
  #isPaused = false
  #isFlowing = true
  #whenTaken: (() => void) | null = null

  constructor(owner: IntakeOwner) {
    super()
    this.#owner = owner
  }

  /** Takes what has been read; a chunk is valid during the call only. */
  readonly take = (chunk: Buffer): void => {
    if (this.#held !== null || this.#isTaking || this.#isQueued) {
      this.#hold(chunk)
      this.#regulate()
      return
    }
    const used = this.#give(chunk)
    if (used < chunk.length) this.#hold(chunk.subarray(used))
    else if (this.left > 0) return
    this.#settleTurn()
  }

  /** Nothing more is read until `resume`; what was read is gone through to its end. */
  pause(): void {
    this.#isPaused = true
    this.#regulate()
  }

  resume(): void {
    this.#isPaused = false
    this.#regulate()
  }

  /** What was not taken is offered again, unless it waits for a turn. */
  goOn(): void {
    if (this.#isTaking || this.#isQueued) return
    if (this.#held !== null) this.#giveHeld()
    this.#regulate()
  }

  /** Its turn has come. */
  takeTurn(): void {
    this.#isQueued = false
    this.begin()
    inTurn(this.#goOnInTurn, nothing)
    this.settle()
  }

  /** Calls back when nothing is held any more: now, or later. */
  whenTaken(then: () => void): void {
    if (this.#held === null) then()
    else this.#whenTaken = then
  }

  /** The stream has ended: what is held is not given any more, but handed out here. */
  end(): Buffer {
    const held = this.#held?.bytes ?? nothing
    this.#held = null
    this.#whenTaken = null
    return held
  }

  #goOnInTurn = (): void => this.goOn()

  #give(chunk: Buffer): number {
    this.isStopped = false
    this.#isTaking = true
    try {
      const used = this.#owner.onChunk(chunk, this)
      this.left -= used >> 10
      return used
    } finally {
      this.#isTaking = false
    }
  }

  #giveHeld(): void {
    const held = this.#held as HeldBytes
    const { bytes } = held
    const used = this.#give(bytes)
    held.use(used)
    if (held.length > 0 || this.#held === null) {
      this.#settleTurn()
      return
    }
    this.#held = null
    const then = this.#whenTaken
    this.#whenTaken = null
    then?.()
    if (this.left <= 0) this.#settleTurn()
  }

  /** Something is left of the chunk, or of the share nothing is. */
  #settleTurn(): void {
    const isOver = this.isUsedUp()
    // Who was stopped has nothing to wait for here.
    if ((isOver || this.#held !== null) && !this.isStopped && !this.#isQueued) {
      this.#isQueued = true
      turn.enqueue(this)
    }
    this.#regulate()
  }

  #hold(bytes: Buffer): void {
    if (this.#held === null) this.#held = new HeldBytes(bytes)
    else this.#held.append(bytes)
  }

  #regulate(): void {
    const isFull = this.#held !== null && this.#held.length > maxHeldBytes
    const isFlowing = !(this.#isPaused || this.#isQueued || isFull)
    if (isFlowing === this.#isFlowing) return
    this.#isFlowing = isFlowing
    this.#owner.flow(isFlowing)
  }
}
