/** How many registers there are: rows `k` of `reg`, whose `v` grows by one per write. */
export const registers = 24

/** By register: the least version that must be seen from now on. */
export type Seen = Int32Array

/** A row of `reg`; `id` is that of the write that made it, 0 = none did. */
export interface Register {
  readonly k: number
  readonly v: number
  readonly id: number
}

/** What a read may not miss, and where it was made. */
export interface Reading {
  /** As known when the read was sent. */
  readonly seen: Seen
  readonly sentAtMs: number
  readonly what: string
}

export interface Violation {
  readonly register: number
  readonly saw: number
  readonly mustSee: number
  readonly atMs: number
  readonly what: string
  /** Where pgsplit sent the statement. */
  route: string
}

type Outcome = 'acknowledged' | 'refused' | 'unknown'

interface Write {
  readonly k: number
  /** All that the writer had seen before it: whoever sees this write must see that, too. */
  readonly after: Seen
  v: number | null
  outcome: Outcome
  acknowledgedAtMs: number
}

/**
 * What clients did and saw, by one clock: each read is held against what its session had written,
 * seen or been handed *before the read was sent*; and, as a version names its write and a write what
 * its session had seen, against what anybody's writes had followed.
 */
export class History {
  readonly violations: Violation[] = []
  /**
   * Reads that miss a commit which somebody had seen on a replica while the primary, waiting for its
   * replicas, did not show it yet: PostgreSQL itself does that (documentation, "synchronous_commit").
   */
  readonly early: Violation[] = []
  reads = 0
  /** The latest version of each register that anybody was told is committed. */
  readonly acknowledged: Seen = new Int32Array(registers)
  readonly #writes = new Map<number, Write>()
  /** The write that made a version, by register and version. */
  readonly #makers = new Map<number, number>()
  #lastId = 0

  /** Where the statement ran that missed something. Only a primary may show less than was seen. */
  settle(one: Violation, route: string): void {
    one.route = route
    const at = this.early.indexOf(one)
    if (at < 0 || !/: (proved read-only|READ ONLY transaction)$|on a replica$/.test(route)) return
    this.early.splice(at, 1)
    this.violations.push(one)
  }

  /** A write is sent: its id. */
  begin(k: number, after: Seen): number {
    const id = ++this.#lastId
    const write: Write = {
      k,
      after: after.slice(),
      v: null,
      outcome: 'unknown',
      acknowledgedAtMs: Number.POSITIVE_INFINITY,
    }
    this.#writes.set(id, write)
    return id
  }

  acknowledge(id: number, v: number): void {
    const write = this.#writes.get(id)
    if (write === undefined) throw new Error(`there is no write ${id}`)
    write.v = v
    write.outcome = 'acknowledged'
    write.acknowledgedAtMs = performance.now()
    this.#makers.set(write.k * 1e7 + v, id)
    this.acknowledged[write.k] = Math.max(this.acknowledged[write.k] ?? 0, v)
  }

  /** The client was told that nothing of it was done, or rolled it back. */
  refuse(id: number): void {
    const write = this.#writes.get(id)
    if (write !== undefined) write.outcome = 'refused'
  }

  count(outcome: Outcome): number {
    let count = 0
    for (const write of this.#writes.values()) if (write.outcome === outcome) count++
    return count
  }

  /** Rows of one statement, thus of one snapshot. What was missed; `into` learns what was seen. */
  read(rows: readonly Register[], { seen, sentAtMs, what }: Reading, into: Seen): Violation[] {
    const found: Violation[] = []
    const miss = (row: Register, mustSee: number, how: string): void => {
      const maker = this.#writes.get(this.#makers.get(row.k * 1e7 + row.v + 1) ?? -1)
      const isEarly = maker !== undefined && maker.acknowledgedAtMs >= sentAtMs
      const { k: register, v: saw } = row
      const atMs = performance.now()
      const one = { register, saw, mustSee, atMs, what: `${what}: ${how}`, route: '' }
      found.push(one)
      if (isEarly) this.early.push(one)
      else this.violations.push(one)
    }
    this.reads++
    for (const row of rows) {
      if (row.id > 0) this.#makers.set(row.k * 1e7 + row.v, row.id)
      const mustSee = seen[row.k] ?? 0
      if (row.v < mustSee) miss(row, mustSee, 'older than what its session knew')
    }
    for (const { id } of rows) {
      const after = this.#writes.get(id)?.after
      if (after === undefined) continue
      for (const row of rows) {
        const mustSee = after[row.k] ?? 0
        if (row.v < mustSee) miss(row, mustSee, 'older than what a write beside it followed')
      }
      merge(into, after)
    }
    for (const { k, v } of rows) into[k] = Math.max(into[k] ?? 0, v)
    return found
  }

  /**
   * Holds the clients' knowledge against what the database has in the end: each acknowledged write
   * once, each other one at most once, refused ones never, versions without a gap.
   */
  audit(log: readonly Register[], reg: readonly Register[]): string[] {
    const faults: string[] = []
    const rows = new Map<number, Register>()
    const versions = new Set<number>()
    for (const row of log) {
      if (rows.has(row.id)) faults.push(`write ${row.id} was applied twice`)
      rows.set(row.id, row)
      versions.add(row.k * 1e7 + row.v)
    }
    for (const [id, { k, v, outcome }] of this.#writes) {
      const row = rows.get(id)
      if (outcome === 'acknowledged' && (row?.k !== k || row.v !== v)) {
        faults.push(
          `write ${id} of version ${v} of ${k} was acknowledged and is ${row?.v ?? 'lost'}`,
        )
      }
      if (outcome === 'refused' && row !== undefined)
        faults.push(`write ${id} was refused, and is there`)
    }
    for (const { k, v } of reg) {
      const count = log.filter((row) => row.k === k).length
      if (count !== v) faults.push(`register ${k} is at version ${v} after ${count} writes`)
    }
    if (versions.size !== log.length) faults.push('two writes made the same version')
    return faults
  }
}

export function merge(into: Seen, from: Seen): void {
  for (let k = 0; k < into.length; k++) into[k] = Math.max(into[k] ?? 0, from[k] ?? 0)
}
