import { flushDirty } from './outlet.ts'

/**
 * What peers may take of one turn of the event loop. Time, not messages: a Sync, a NOTICE and a
 * Query cost between one and a hundred µs. The clock is looked at once in so many steps only, so
 * that who asks for little never pays for it.
 */
export interface TurnLimits {
  /** Steps (a message is one or some) between two looks at the clock. */
  steps: number
  /** What one peer may take of a turn, ms. */
  shareMs: number
  /** What all together may take of it who want more than that, ms. */
  turnMs: number
  /** Monotonic ms. */
  nowMs: () => number
}

export const turnLimits: TurnLimits = {
  steps: 64,
  shareMs: 1,
  turnMs: 2,
  nowMs: () => performance.now(),
}

/** Who has more to do than its share allows. */
interface Waiting {
  /** Goes on with it; asks again for a place at the back when it is not through. */
  takeTurn(): void
}

/** The turn of the event loop that is going on, and who waits for a later one, in order. */
class Turn {
  id = 0
  usedMs = 0
  #waiting: Waiting[] = []
  #isArmed = false

  get waiting(): number {
    return this.#waiting.length
  }

  /** The present turn ends when what is ready by now has been read. */
  arm(): void {
    if (this.#isArmed) return
    this.#isArmed = true
    setImmediate(this.#next)
  }

  enqueue(one: Waiting): void {
    this.#waiting.push(one)
    this.arm()
  }

  /** A new turn: first those who wait, as many as it has time for; then what can be read. */
  #next = (): void => {
    this.#isArmed = false
    this.id++
    this.usedMs = 0
    if (this.#waiting.length === 0) return
    // What others have said so far must not wait behind them.
    flushDirty()
    const turns = this.#waiting
    this.#waiting = []
    let served = 0
    while (served < turns.length && (served === 0 || this.usedMs < turnLimits.turnMs)) {
      ;(turns[served] as Waiting).takeTurn()
      served++
    }
    // Who has been served has gone to the back.
    if (served < turns.length) this.#waiting = turns.slice(served).concat(this.#waiting)
    if (this.#waiting.length > 0) this.arm()
    flushDirty()
  }
}

export const turn = new Turn()

/**
 * What one peer has left of the present turn. Whoever works through its bytes takes `steps` off
 * `left`, asks `isUsedUp` when there is none left, and leaves the rest for later if so.
 */
export class TurnShare {
  left: number = turnLimits.steps
  /** Whoever works through the bytes can't go on now, and will say when. */
  isStopped = false
  #turn = -1
  #sinceMs = 0
  #usedMs = 0

  /** A turn that begins with this peer: its time counts from now. */
  begin(): void {
    this.#turn = turn.id
    this.#sinceMs = turnLimits.nowMs()
    this.#usedMs = 0
    this.left = turnLimits.steps
    turn.arm()
  }

  /** Nothing more is to be given now. */
  stop(): void {
    this.isStopped = true
    this.left = 0
  }

  isUsedUp(): boolean {
    if (this.isStopped) return true
    if (this.#turn !== turn.id) {
      // The first look of this turn: the steps before it may be of many turns.
      this.begin()
      return turnLimits.shareMs <= 0
    }
    this.settle()
    if (this.#usedMs >= turnLimits.shareMs || turn.usedMs >= turnLimits.turnMs) return true
    this.left = turnLimits.steps
    return false
  }

  /** Counts what was used since the last look. */
  settle(): void {
    const nowMs = turnLimits.nowMs()
    const ms = nowMs - this.#sinceMs
    this.#sinceMs = nowMs
    this.#usedMs += ms
    turn.usedMs += ms
  }
}
