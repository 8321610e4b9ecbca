import { readdirSync, readFileSync } from 'node:fs'

/** Descriptors kept for what clients don't open themselves: server connections, probes, files. */
const reserve = 64
/** How long a count is believed, ms. */
const staleMs = 100

/**
 * Open files of this process against its limit, so that who comes last can be told instead of being
 * cut off: at the limit itself not even a refusal can be sent. Without /proc nothing is known.
 */
export class Descriptors {
  /** Node.js raises the soft limit to the hard one at its start; null: not known. */
  readonly limit: number | null
  readonly #count: () => number
  readonly #nowMs: () => number
  #countedAtMs = Number.NEGATIVE_INFINITY
  #left = Number.POSITIVE_INFINITY

  constructor(limit = ownLimit(), count = openNow, nowMs = () => performance.now()) {
    this.limit = limit
    this.#count = count
    this.#nowMs = nowMs
  }

  /** One more was opened: is it one too many? */
  isShort(): boolean {
    if (this.limit === null) return false
    this.#left--
    const nowMs = this.#nowMs()
    if (nowMs - this.#countedAtMs > staleMs) {
      this.#countedAtMs = nowMs
      this.#left = this.limit - this.#count()
    }
    return this.#left < Math.min(reserve, this.limit / 4)
  }
}

function ownLimit(): number | null {
  try {
    const text = readFileSync('/proc/self/limits', 'latin1')
    const soft = /^Max open files\s+(\d+)/m.exec(text)?.[1]
    return soft === undefined ? null : Number(soft)
  } catch {
    return null
  }
}

function openNow(): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    // Not even that could be opened.
    return Number.POSITIVE_INFINITY
  }
}
