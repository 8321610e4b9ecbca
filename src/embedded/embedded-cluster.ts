import { rm } from 'node:fs/promises'
import { cloneRunning } from './data-directory.ts'
import { EmbeddedError } from './embedded-error.ts'
import { EmbeddedNode, type NodeSurroundings } from './embedded-node.ts'
import { freePort } from './free-port.ts'
import { haveCaughtUp, isAhead } from './steer-replication.ts'

const CATCH_UP_TIMEOUT_MS = 30_000

/** A running primary with its streaming replicas, and the ways to disturb them. */
export class EmbeddedCluster {
  /** Password of the superuser `postgres`. */
  readonly password: string
  readonly database: string
  /** Major version of the servers. */
  readonly version: number
  readonly directory: string
  readonly #surroundings: NodeSurroundings
  #primary: EmbeddedNode
  #replicas: readonly EmbeddedNode[]
  #stopping: Promise<void> | undefined

  constructor(
    surroundings: NodeSurroundings,
    primary: EmbeddedNode,
    replicas: readonly EmbeddedNode[],
  ) {
    this.password = surroundings.password
    this.database = surroundings.database
    this.version = surroundings.binaries.version
    this.directory = surroundings.scratch.path
    this.#surroundings = surroundings
    this.#primary = primary
    this.#replicas = replicas
  }

  /** The primary; after `failover` the promoted node. */
  get primary(): EmbeddedNode {
    return this.#primary
  }

  get replicas(): readonly EmbeddedNode[] {
    return this.#replicas
  }

  get nodes(): readonly EmbeddedNode[] {
    return [this.#primary, ...this.#replicas]
  }

  /** The node with that name or port. Throws EmbeddedError when there is none. */
  node(nameOrPort: string | number): EmbeddedNode {
    const found = this.nodes.find(({ name, port }) => name === nameOrPort || port === nameOrPort)
    if (found === undefined) {
      const names = this.nodes.map(({ name }) => name).join(', ')
      throw new EmbeddedError(`the cluster has no node ${nameOrPort}; it has ${names}`)
    }
    return found
  }

  /** Resolves when every running replica has replayed what the primary has written until now. */
  async catchUp(timeoutMs = CATCH_UP_TIMEOUT_MS): Promise<void> {
    const running = this.#replicas.filter(({ isRunning }) => isRunning)
    await haveCaughtUp(this.#primary, running, timeoutMs)
  }

  /** Adds a replica while the cluster is running, cloned from its primary. */
  async addReplica(name?: string): Promise<EmbeddedNode> {
    const taken = (wanted: string) => this.nodes.some((node) => node.name === wanted)
    let free = 1
    while (taken(`replica${free}`)) free++
    const chosen = name ?? `replica${free}`
    if (taken(chosen)) throw new EmbeddedError(`the cluster has a node ${chosen} already`)
    const node = new EmbeddedNode(chosen, await freePort(), this.#surroundings)
    await this.#cloneTo(node)
    this.#replicas = [...this.#replicas, node]
    return node
  }

  /**
   * Promotes `to` and lets the other running replicas follow it. The old primary is left as it is,
   * running or not; it leaves `nodes` until `rejoin`.
   */
  async failover(to: EmbeddedNode): Promise<void> {
    await to.promote()
    this.#replicas = this.#replicas.filter((node) => node !== to)
    this.#primary = to
    for (const replica of this.#replicas) if (replica.isRunning) await replica.follow(to)
    const ahead = []
    for (const replica of this.#replicas) {
      if (replica.isRunning && (await isAhead(to, replica))) ahead.push(replica)
    }
    // All of them first: who rejoins waits for those that run.
    for (const replica of ahead) await replica.kill()
    for (const replica of ahead) await this.rejoin(replica)
  }

  /** Makes `node` a replica of the present primary, with a new copy of its data. */
  async rejoin(node: EmbeddedNode): Promise<void> {
    if (node === this.#primary) throw new EmbeddedError(`${node.name} is the primary`)
    await node.stop('immediate')
    await rm(node.dataDir, { recursive: true, force: true })
    await this.#cloneTo(node)
    if (!this.#replicas.includes(node)) this.#replicas = [...this.#replicas, node]
  }

  /** Ends all servers and removes their files. May be called more than once. */
  stop(): Promise<void> {
    this.#stopping ??= this.#surroundings.scratch.remove()
    return this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #cloneTo(node: EmbeddedNode): Promise<void> {
    await this.#primary.createSlot(node.name)
    await cloneRunning(this.#primary, node.dataDir, this.#surroundings)
    await node.writeSettings('node.conf', { port: String(node.port), cluster_name: node.name })
    await node.writeStandbySettings(this.#primary)
    await node.start()
    await this.catchUp()
  }
}
