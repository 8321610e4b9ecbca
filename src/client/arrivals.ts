import { networkOf } from '../auth/network.ts'
import { TurnShare, turn } from '../net/turn-share.ts'

/** What taking in a connection is of a share, in steps: about 0.1 ms with all that follows. */
const stepsOfArrival = 32

/**
 * Connections that have been accepted and not been looked at. All newcomers together have one
 * peer's share of a turn, and take it in turns by network: a flood of connections, be they cancel
 * requests or log-ins, waits for itself. Beyond `max` the network with the most loses its newest.
 */
export class Arrivals<T> {
  max: number
  readonly #admit: (arrival: T) => void
  readonly #drop: (arrival: T) => void
  /** In the order in which the networks have their turns. */
  readonly #ofNetwork = new Map<string, T[]>()
  readonly #share = new TurnShare()
  #isQueued = false
  #waiting = 0

  constructor(max: number, admit: (arrival: T) => void, drop: (arrival: T) => void) {
    this.max = max
    this.#admit = admit
    this.#drop = drop
  }

  get waiting(): number {
    return this.#waiting
  }

  add(address: string, arrival: T): void {
    if (!this.#isQueued && this.#mayAdmit()) {
      this.#share.left -= stepsOfArrival
      this.#admit(arrival)
      return
    }
    const network = networkOf(address)
    const others = this.#ofNetwork.get(network)
    if (others === undefined) this.#ofNetwork.set(network, [arrival])
    else others.push(arrival)
    this.#waiting++
    if (this.#waiting > this.max) this.#dropOne()
    this.#queue()
  }

  /** Of the turn queue. */
  takeTurn(): void {
    this.#isQueued = false
    this.#share.begin()
    do {
      const next = this.#next()
      if (next === null) break
      this.#share.left -= stepsOfArrival
      this.#admit(next)
    } while (this.#mayAdmit())
    this.#share.settle()
    if (this.#waiting > 0) this.#queue()
  }

  #mayAdmit(): boolean {
    return this.#share.left > 0 || !this.#share.isUsedUp()
  }

  #queue(): void {
    if (this.#isQueued) return
    this.#isQueued = true
    turn.enqueue(this)
  }

  /** The first of the network whose turn it is, which goes to the back. */
  #next(): T | null {
    for (const [network, arrivals] of this.#ofNetwork) {
      const next = arrivals.shift() as T
      this.#ofNetwork.delete(network)
      if (arrivals.length > 0) this.#ofNetwork.set(network, arrivals)
      this.#waiting--
      return next
    }
    return null
  }

  #dropOne(): void {
    let most: T[] = []
    let owner = ''
    for (const [network, arrivals] of this.#ofNetwork) {
      if (arrivals.length <= most.length) continue
      most = arrivals
      owner = network
    }
    const victim = most.pop()
    if (victim === undefined) return
    if (most.length === 0) this.#ofNetwork.delete(owner)
    this.#waiting--
    this.#drop(victim)
  }
}
