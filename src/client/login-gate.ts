import { networkOf } from '../auth/network.ts'
import { nowMs } from '../net/turn-clock.ts'

/**
 * How far a client is: it has said nothing, it has asked to start (a whole StartupMessage), or it
 * has answered the first authentication request.
 */
const stages = { silent: 0, started: 1, answered: 2 } as const
export type LoginStage = keyof typeof stages

/** Part of all places that one network keeps when there are more clients than places. */
const shareOfNetwork = 1 / 8
/** A client may take so long from stage to stage before its place is given to another one, ms. */
const graceMs = 250
/** Who has not come through by then is treated as if it had said nothing, ms. */
const overdueMs = 1_000

interface Entry {
  readonly sinceMs: number
  readonly network: string
  readonly evict: () => void
  stage: 0 | 1 | 2
}

/** A client's place among those that have not authenticated yet. */
export interface GatePlace {
  /** The client has come so far. */
  reach(stage: LoginStage): void
  /** Gives the place back; may be called twice. */
  leave(): void
}

/**
 * The clients that have not authenticated yet. Past `max` one of them makes room for the newest: one
 * of the network with the most, if that has more than its share, else one of all; there the one that
 * has come least far, and of those the oldest. Who means it is through in milliseconds, so neither
 * connections that only sit there nor a flood of new ones, from one address or many, locks others out.
 */
export class LoginGate {
  max: number
  /** In order of arrival. */
  readonly #all = new Set<Entry>()
  readonly #ofNetwork = new Map<string, Set<Entry>>()

  readonly #nowMs: () => number

  constructor(max = 5_000, clock = nowMs) {
    this.max = max
    this.#nowMs = clock
  }

  get waiting(): number {
    return this.#all.size
  }

  /** Takes a place; `evict` is called, once, when it must be given up for somebody else. */
  enter(address: string, evict: () => void): GatePlace {
    while (this.#all.size >= this.max) {
      const victim = this.#victim()
      if (victim === null) break
      this.#leave(victim)
      victim.evict()
    }
    const entry: Entry = {
      sinceMs: this.#nowMs(),
      network: networkOf(address),
      evict,
      stage: stages.silent,
    }
    this.#all.add(entry)
    const others = this.#ofNetwork.get(entry.network)
    if (others === undefined) this.#ofNetwork.set(entry.network, new Set([entry]))
    else others.add(entry)
    return {
      reach: (stage) => {
        entry.stage = stages[stage]
      },
      leave: () => this.#leave(entry),
    }
  }

  #leave(entry: Entry): void {
    if (!this.#all.delete(entry)) return
    const others = this.#ofNetwork.get(entry.network)
    others?.delete(entry)
    if (others?.size === 0) this.#ofNetwork.delete(entry.network)
  }

  #victim(): Entry | null {
    let crowd: Set<Entry> = this.#all
    let most = Math.max(1, Math.floor(this.max * shareOfNetwork))
    for (const entries of this.#ofNetwork.values()) {
      if (entries.size <= most) continue
      most = entries.size
      crowd = entries
    }
    const nowMs = this.#nowMs()
    let victim: Entry | null = null
    let stageOfVictim = Number.POSITIVE_INFINITY
    for (const entry of crowd) {
      const ageMs = nowMs - entry.sinceMs
      // All behind it are younger still.
      if (ageMs < graceMs && victim !== null) break
      const stage = ageMs > overdueMs ? stages.silent : entry.stage
      if (stage >= stageOfVictim) continue
      victim = entry
      stageOfVictim = stage
      if (ageMs < graceMs || stage === stages.silent) break
    }
    return victim
  }
}
