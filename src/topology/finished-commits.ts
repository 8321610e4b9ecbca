import { setTimeout as sleep } from 'node:timers/promises'
import type { Lsn } from './lsn.ts'
import type { NodeView } from './node.ts'
import type { PositionConnections } from './position-connections.ts'
import { PositionWaiters } from './position-waiters.ts'
import type { Snapshot } from './snapshot.ts'

export interface FinishedCommitsOptions {
  readonly connections: PositionConnections
  readonly snapshot: () => Snapshot
  /** Best known replay position of a replica on the present timeline, 0 = none. */
  readonly replayed: (nodeIndex: number) => Lsn
}

/** Pause between two looks at the primary while it lacks something, ms. */
const lookAgainMs = 2
/** Pause after a question that was not answered, or while no replica is further, ms. */
const pauseMs = 10
/** With more transactions in question than this, it is looked again later. */
const mostAsked = 2_000

/** Transactions that have finished on a standby by now are all below this one. */
const standbySql = 'SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text'
const primarySql = 'SELECT pg_catalog.pg_current_snapshot()::text'

/**
 * Does the primary show what replicas have shown? With synchronous replication a standby may show a
 * commit before its primary does, which waits for other standbys meanwhile: the transaction is in the
 * log, and still in progress there. A standby's own snapshot doesn't name those in progress, so it is
 * asked for each that the primary has: what is in progress there, too, was not shown.
 *
 * Asked only while somebody waits; one check serves all whose position lies before it.
 */
export class FinishedCommits {
  readonly #options: FinishedCommitsOptions
  readonly #waiters = new PositionWaiters<Lsn>()
  /** The primary, on which timeline, of which that is known, and up to where. */
  #clear: { readonly primary: number; readonly timeline: number | null; readonly lsn: Lsn } | null =
    null
  #isRunning = false
  #isStopped = false

  constructor(options: FinishedCommitsOptions) {
    this.#options = options
  }

  /** Does the primary certainly show all that was committed up to there? */
  isShown(lsn: Lsn): boolean {
    const { primary, timeline } = this.#options.snapshot()
    const clear = this.#clear
    if (primary === null || clear === null) return false
    return clear.primary === primary.index && clear.timeline === timeline && clear.lsn >= lsn
  }

  /** Calls back once when it does, or may do. The result takes that back. */
  onShown(lsn: Lsn, callback: () => void): () => void {
    const forget = this.#waiters.on(lsn, callback)
    if (!this.#isRunning) void this.#run()
    return forget
  }

  stop(): void {
    this.#isStopped = true
    this.#waiters.clear()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    while (this.#waiters.size > 0 && !this.#isStopped) {
      const { primary, timeline } = this.#options.snapshot()
      const furthest = this.#furthest()
      const isKnown = furthest !== null && this.isShown(furthest.lsn)
      const isDone =
        primary !== null &&
        furthest !== null &&
        (isKnown || (await this.#check(primary, furthest.node).catch(() => false)))
      if (isDone) {
        this.#clear = { primary: primary.index, timeline, lsn: furthest.lsn }
        this.#waiters.reached(furthest.lsn)
      }
      // Who still waits asks for more than any replica has, so far.
      if (!isDone || isKnown) await sleep(pauseMs, undefined, { ref: false })
    }
    this.#isRunning = false
  }

  #furthest(): { readonly node: NodeView; readonly lsn: Lsn } | null {
    let furthest: { readonly node: NodeView; readonly lsn: Lsn } | null = null
    for (const node of this.#options.snapshot().nodes) {
      const lsn = node.role === 'replica' ? this.#options.replayed(node.index) : 0n
      if (lsn > (furthest?.lsn ?? 0n)) furthest = { node, lsn }
    }
    return furthest
  }

  /** Resolves when all that this replica has committed by now has finished on the primary. */
  async #check(primary: NodeView, replica: NodeView): Promise<boolean> {
    const { connections } = this.#options
    const [xmax] = await connections.ask(replica.spec, standbySql)
    const end = BigInt(xmax ?? '')
    let unfinished = openBelow(await this.#snapshotOf(primary), end)
    if (unfinished.length > mostAsked) return false
    if (unfinished.length > 0) {
      const [committed] = await connections.ask(replica.spec, statusSql(unfinished))
      const shown = new Set(committed?.split(','))
      unfinished = unfinished.filter((xid) => shown.has(String(xid)))
    }
    while (unfinished.length > 0 && this.#waiters.size > 0 && !this.#isStopped) {
      await sleep(lookAgainMs, undefined, { ref: false })
      const open = new Set(openBelow(await this.#snapshotOf(primary), end))
      unfinished = unfinished.filter((xid) => open.has(xid))
    }
    return unfinished.length === 0
  }

  async #snapshotOf(primary: NodeView): Promise<string> {
    const [text] = await this.#options.connections.ask(primary.spec, primarySql)
    const now = this.#options.snapshot().primary
    if (now?.index !== primary.index) throw new Error('there is another primary')
    return text ?? ''
  }
}

/** Transactions below `end` that a snapshot (`xmin:xmax:xid,xid…`) does not show as finished. */
export function openBelow(snapshot: string, end: bigint): bigint[] {
  const [, xmax, list] = /^\d+:(\d+):([\d,]*)$/.exec(snapshot) ?? []
  if (xmax === undefined) throw new Error('that is no snapshot')
  const open = list === '' ? [] : (list ?? '').split(',').map(BigInt)
  const below = open.filter((xid) => xid < end)
  // What is not known yet to have finished lies behind it; one more than may be asked about is enough.
  for (let xid = BigInt(xmax); xid < end && below.length <= mostAsked; xid++) below.push(xid)
  return below
}

/** Which of them have committed there. */
function statusSql(xids: readonly bigint[]): string {
  return `SELECT pg_catalog.string_agg(x::text, ',') FROM pg_catalog.unnest('{${xids.join(',')}}'::xid8[]) x
WHERE pg_catalog.pg_xact_status(x) = 'committed'`
}
