import type { Lsn } from '../topology/lsn.ts'
import type { PositionSampler } from '../topology/position-sampler.ts'
import type { Snapshot } from '../topology/snapshot.ts'
import type { Scope } from './scope.ts'

/** How often replicas that lag are looked at, ms. */
const lookEveryMs = 25
/** A replica that has not replayed the change after this time is recycled as it is, ms. */
const giveUpMs = 60_000

export interface DefaultsChangeOptions {
  readonly scopes: ReadonlyMap<string, Scope>
  readonly sampler: PositionSampler
  readonly snapshot: () => Snapshot
  readonly nowMs: () => number
}

interface Behind {
  readonly lsn: Lsn
  readonly sinceMs: number
  /** Replicas that have not replayed the change, as far as is known. */
  readonly nodes: Set<number>
  readonly scopes: ReadonlySet<Scope>
}

/**
 * What connections are made of when they are opened has changed: settings (ALTER ROLE, DATABASE or
 * SYSTEM … SET), or who a role is. Connections that were opened before are not used again. Those to
 * a replica go once more when it has replayed the change: what was opened there meanwhile is still
 * made of the old.
 */
export class DefaultsChange {
  readonly #options: DefaultsChangeOptions
  #behind: Behind | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(options: DefaultsChangeOptions) {
    this.#options = options
  }

  /** The change has been committed; it concerns `scopes`. */
  note(scopes: Iterable<Scope> = this.#options.scopes.values()): void {
    const { sampler, snapshot, nowMs } = this.#options
    const concerned = new Set(scopes)
    for (const scope of concerned) scope.recycle()
    sampler.afterNow((sample) => {
      const replicas = snapshot().nodes.filter(({ role }) => role === 'replica')
      const nodes = new Set(replicas.map(({ index }) => index))
      const before = this.#behind
      this.#behind = {
        lsn: sample.inserted,
        sinceMs: before?.sinceMs ?? nowMs(),
        nodes,
        scopes: new Set([...concerned, ...(before?.scopes ?? [])]),
      }
      this.#timer ??= setInterval(() => this.#look(), lookEveryMs).unref()
      this.#look()
    })
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    this.#behind = null
  }

  #look(): void {
    if (this.#behind === null) return
    const { lsn, sinceMs, nodes, scopes } = this.#behind
    const { sampler, nowMs } = this.#options
    const isOver = nowMs() - sinceMs > giveUpMs
    for (const index of nodes) {
      if (!isOver && sampler.replicas.replayed(index) < lsn) continue
      nodes.delete(index)
      for (const scope of scopes) scope.recycleNode(index)
    }
    if (nodes.size === 0) this.stop()
    else sampler.replicas.wish(lsn)
  }
}
