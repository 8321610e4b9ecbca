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

/**
 * ALTER ROLE, DATABASE or SYSTEM … SET: what sessions start with has changed, and connections that
 * were opened before are not used again. Those to a replica go once more when it has replayed the
 * change: what was opened there meanwhile still has the old values.
 */
export class DefaultsChange {
  readonly #options: DefaultsChangeOptions
  #behind: { readonly lsn: Lsn; readonly sinceMs: number; readonly nodes: Set<number> } | null =
    null
  #timer: NodeJS.Timeout | null = null

  constructor(options: DefaultsChangeOptions) {
    this.#options = options
  }

  /** The change has been committed. */
  note(): void {
    const { scopes, sampler, snapshot, nowMs } = this.#options
    for (const scope of scopes.values()) scope.recycle()
    sampler.afterNow((sample) => {
      const replicas = snapshot().nodes.filter(({ role }) => role === 'replica')
      const nodes = new Set(replicas.map(({ index }) => index))
      this.#behind = { lsn: sample.inserted, sinceMs: nowMs(), nodes }
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
    const { lsn, sinceMs, nodes } = this.#behind
    const { scopes, sampler, nowMs } = this.#options
    const isOver = nowMs() - sinceMs > giveUpMs
    for (const index of nodes) {
      if (!isOver && sampler.replicas.replayed(index) < lsn) continue
      nodes.delete(index)
      for (const scope of scopes.values()) scope.recycleNode(index)
    }
    if (nodes.size === 0) this.stop()
    else sampler.replicas.wish(lsn)
  }
}
