import { JointWait } from '../pool/joint-wait.ts'
import type { NodePool } from '../pool/node-pool.ts'
import type { UseMode } from '../pool/pooled.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { SessionState } from '../server/session-state.ts'
import { claimOf } from './claim-of.ts'
import { begin, noConnection, takeAt } from './obtain-connection.ts'
import { refuse } from './refuse-request.ts'
import { type Request, requestBit } from './request.ts'
import type { ClientSession } from './session.ts'

/**
 * How often a read that waits looks for other nodes that it may run on by now, ms: a replica has come
 * back or caught up, or the connection that is opened for it takes its time.
 */
const lookAgainMs = 50
/** While one is being opened on a replica the primary is spared for so long, ms. */
const sparePrimaryMs = 1_000

interface Place {
  readonly index: number
  readonly isReplica: boolean
}

/**
 * A read whose node has no free connection takes the next eligible one, then the primary. If all are
 * taken it waits in all of them at once.
 */
export class WaitAnywhere {
  readonly #session: ClientSession
  readonly #request: Request
  readonly #mode: UseMode
  readonly #stateKey: SessionState
  readonly #wait: JointWait<ServerConnection>
  readonly #startedAtMs: number
  /** Node indexes where it has waited, in order. */
  readonly #nodes: number[] = []
  /** Opens a connection for it. */
  #opening: NodePool<ServerConnection> | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(session: ClientSession, request: Request, mode: UseMode, stateKey: SessionState) {
    this.#session = session
    this.#request = request
    this.#mode = mode
    this.#stateKey = stateKey
    this.#startedAtMs = session.cluster.nowMs()
    this.#wait = new JointWait<ServerConnection>(mode, stateKey, {
      onConnection: (connection) => {
        this.#end()
        this.#goOn(connection)
      },
      onError: (error) => {
        this.#end()
        noConnection(session, request, error)
        session.pump()
      },
      onTimeout: (waitedMs) => {
        this.#end()
        this.#giveUp(waitedMs)
      },
      onLost: (pool, isLast) => {
        const node = this.#nodes.find((index) => session.scope.pool(index) === pool)
        if (node === undefined) return
        if (isLast) request.nodeIndex = node
        else request.exclude |= requestBit(node)
      },
    })
  }

  /** Takes a connection, or begins to wait for one. */
  start(): void {
    const { session, request } = this.#both
    // Nothing that the session does meanwhile may get before it.
    session.waiting.begin(request, () => this.#end())
    const taken = this.#look()
    if (taken === null) {
      if (!this.#wait.isOver) this.#lookLater()
      return
    }
    this.#end()
    this.#take(taken)
  }

  get #both(): { readonly session: ClientSession; readonly request: Request } {
    return { session: this.#session, request: this.#request }
  }

  /**
   * Goes over the nodes that may serve it now, in the router's order: takes a connection where there
   * is one, else waits where one is being opened for it, else everywhere.
   */
  #look(): ServerConnection | null {
    const { session, request } = this.#both
    const full: Place[] = []
    for (const node of this.#candidates()) {
      const claim = claimOf(session, request, true, node.isReplica)
      const pool = session.scope.pool(node.index)
      const isThere = this.#wait.pools.has(pool)
      if (!isThere && !node.isReplica && this.#sparesPrimary) break
      const taken = takeAt(session, request, node.index, this.#mode, this.#stateKey, claim)
      if (taken !== null) return taken
      if (!isThere && pool.opensFor(claim)) {
        if (node.isReplica) this.#opening = pool
        this.#add(node)
        return null
      }
      if (!isThere) full.push(node)
    }
    for (const node of full) this.#add(node)
    return null
  }

  get #sparesPrimary(): boolean {
    const waitedMs = this.#session.cluster.nowMs() - this.#startedAtMs
    return this.#opening?.isOpening === true && waitedMs < sparePrimaryMs
  }

  /** The first choice, then what the router would choose without those before. */
  *#candidates(): Generator<Place> {
    const { session, request } = this.#both
    const { cluster, scope } = session
    let exclude = request.exclude | scope.refusals.at(session.state, session.requestStartedAtMs)
    let next: Place | null =
      this.#nodes.length > 0 ? null : { index: request.nodeIndex, isReplica: request.onReplica }
    for (;;) {
      if (next === null) {
        const { node } = cluster.route(request.cls, session.facts, exclude)
        if (node === null) return
        // Replicas have shown the session more than the primary does so far.
        const isEarly = node.role === 'primary' && cluster.positions.shown.lacks(session.facts)
        if (isEarly && (exclude & ~request.exclude) !== 0) return
        next = { index: node.index, isReplica: node.role === 'replica' }
      }
      yield next
      if (!next.isReplica) return
      exclude |= requestBit(next.index)
      next = null
    }
  }

  #add({ index, isReplica }: Place): void {
    const { session, request } = this.#both
    this.#nodes.push(index)
    this.#wait.add(session.scope.pool(index), claimOf(session, request, true, isReplica))
  }

  #lookLater(): void {
    this.#timer = setTimeout(() => {
      const taken = this.#look()
      if (taken !== null) {
        this.#end()
        this.#take(taken)
        this.#session.pump()
      } else if (!this.#wait.isOver) this.#lookLater()
    }, lookAgainMs)
    this.#timer.unref()
  }

  #end(): void {
    const { session, request } = this.#both
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#wait.end()
    session.waiting.endOf(request)
  }

  #take(connection: ServerConnection): void {
    this.#noteNode(connection.nodeIndex)
    begin(this.#session, this.#request, connection)
  }

  #goOn(connection: ServerConnection): void {
    const session = this.#session
    session.tally.waited(session.cluster.nowMs() - session.requestStartedAtMs)
    this.#take(connection)
    session.pump()
  }

  /** It runs elsewhere than its route said. */
  #noteNode(nodeIndex: number): void {
    const { session, request } = this.#both
    if (nodeIndex === request.nodeIndex) return
    const onReplica = session.cluster.isReplica(nodeIndex)
    request.nodeIndex = nodeIndex
    if (request.onReplica && !onReplica) {
      session.route.amend((why) => `${why}, but no replica had a free server connection`)
    }
    request.onReplica = onReplica
    if (session.deferred !== null && !onReplica) request.isRerunnable = false
  }

  /** All that could serve it were taken for all this time. */
  #giveUp(waitedMs: number): void {
    const { session, request } = this.#both
    if (session.isGone) return
    const waited = Math.max(waitedMs, session.cluster.nowMs() - this.#startedAtMs)
    refuse(session, request, session.scope.noFree(this.#nodes, waited).facts('ERROR'))
    session.pump()
  }
}
