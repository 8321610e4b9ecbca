import { randomUUID } from 'node:crypto'
import { freePort } from '../embedded/free-port.ts'
import { QUICK_SETTINGS, type ServerSettings } from '../embedded/server-settings.ts'
import { haveCaughtUp, isAhead } from '../embedded/steer-replication.ts'
import { WatchdogProcess } from '../embedded/watchdog-process.ts'
import { ContainerNode, type ContainerSurroundings } from './container-node.ts'
import { connectEngine, loadTestcontainers } from './engine.ts'
import { removeContainers } from './remove-containers.ts'
import type { ServerCluster, ServerNode } from './server-cluster.ts'
import { reasonOf, TestingError } from './testing-error.ts'

const CATCH_UP_TIMEOUT_MS = 30_000
const WATCHDOG = new URL('./container-watchdog.ts', import.meta.url)

export interface ContainerOptions {
  readonly image: string
  readonly replicas: number
  readonly database: string
  readonly username: string
  readonly password: string
  readonly settings: ServerSettings
  readonly hasSlots: boolean
  readonly startTimeoutMs: number
}

/** A primary with its streaming replicas, each in a container, on a network of their own. */
export class ContainerCluster implements ServerCluster {
  readonly password: string
  readonly database: string
  readonly #surroundings: ContainerSurroundings
  readonly #watchdog: WatchdogProcess | undefined
  #version = 0
  #primary: ContainerNode
  #replicas: readonly ContainerNode[] = []
  #stopping: Promise<void> | undefined

  private constructor(surroundings: ContainerSurroundings, primary: ContainerNode) {
    this.password = surroundings.password
    this.database = surroundings.database
    this.#surroundings = surroundings
    this.#primary = primary
    // where Ryuk runs, it does the same
    if (process.env.TESTCONTAINERS_RYUK_DISABLED === 'true') {
      this.#watchdog = new WatchdogProcess(WATCHDOG, [surroundings.clusterId], process.env)
    }
  }

  /** Throws TestingError; then no container is left. */
  static async start({ replicas, ...options }: ContainerOptions): Promise<ContainerCluster> {
    const testcontainers = await loadTestcontainers()
    const engine = await connectEngine(testcontainers)
    const surroundings: ContainerSurroundings = {
      ...options,
      testcontainers,
      engine,
      clusterId: `pgsplit-${randomUUID()}`,
      settings: {
        ...QUICK_SETTINGS,
        listen_addresses: '*',
        ...(options.hasSlots ? {} : { wal_keep_size: '512MB' }),
        ...options.settings,
      },
      onMoved: (node) => cluster.#leadTo(node),
    }
    const primary = new ContainerNode('primary', await freePort(), surroundings)
    const cluster: ContainerCluster = new ContainerCluster(surroundings, primary)
    try {
      await cluster.#start(replicas)
      return cluster
    } catch (error) {
      await cluster.stop().catch(() => {})
      throw error
    }
  }

  get version(): number {
    return this.#version
  }

  get primary(): ContainerNode {
    return this.#primary
  }

  get replicas(): readonly ContainerNode[] {
    return this.#replicas
  }

  get nodes(): readonly ContainerNode[] {
    return [this.#primary, ...this.#replicas]
  }

  node(nameOrPort: string | number): ContainerNode {
    const found = this.nodes.find(({ name, port }) => name === nameOrPort || port === nameOrPort)
    if (found !== undefined) return found
    const names = this.nodes.map(({ name }) => name).join(', ')
    throw new TestingError(`the cluster has no node ${nameOrPort}; it has ${names}`)
  }

  async catchUp(timeoutMs = CATCH_UP_TIMEOUT_MS): Promise<void> {
    const running = this.#replicas.filter(({ isRunning }) => isRunning)
    await haveCaughtUp(this.#primary, running, timeoutMs)
  }

  async addReplica(name?: string): Promise<ContainerNode> {
    const taken = (wanted: string) => this.nodes.some((node) => node.name === wanted)
    let free = 1
    while (taken(`replica${free}`)) free++
    const chosen = name ?? `replica${free}`
    if (taken(chosen)) throw new TestingError(`the cluster has a node ${chosen} already`)
    const node = new ContainerNode(chosen, await freePort(), this.#surroundings)
    await this.#createReplica(node)
    this.#replicas = [...this.#replicas, node]
    await this.catchUp()
    return node
  }

  async failover(to: ServerNode): Promise<void> {
    const chosen = this.node(to.name)
    await chosen.promote()
    this.#replicas = this.#replicas.filter((node) => node !== chosen)
    this.#primary = chosen
    for (const replica of this.#replicas) await replica.follow(chosen)
    const ahead = []
    for (const replica of this.#replicas) {
      if (replica.isRunning && (await isAhead(chosen, replica))) ahead.push(replica)
    }
    // All of them first: who rejoins waits for those that run.
    for (const replica of ahead) await replica.kill()
    for (const replica of ahead) await this.rejoin(replica)
  }

  async rejoin(node: ServerNode): Promise<void> {
    if (node === this.#primary) throw new TestingError(`${node.name} is the primary`)
    if (!(node instanceof ContainerNode)) throw new TestingError(`${node.name} is not of here`)
    await node.destroy()
    await this.#createReplica(node)
    if (!this.#replicas.includes(node)) this.#replicas = [...this.#replicas, node]
    await this.catchUp()
  }

  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      await removeContainers(this.#surroundings.engine, this.#surroundings.clusterId)
      await this.#watchdog?.dismiss()
    })()
    return this.#stopping
  }

  async #start(replicas: number): Promise<void> {
    const { testcontainers, clusterId } = this.#surroundings
    try {
      await new testcontainers.Network({ nextUuid: () => clusterId }).start()
    } catch (error) {
      throw new TestingError(
        `the container engine can't be used: ${reasonOf(error)}; where it can't pull Testcontainers' Ryuk, set TESTCONTAINERS_RYUK_DISABLED=true`,
        error,
      )
    }
    await this.#primary.create()
    const [row] = await this.#primary.query(
      "SELECT current_setting('server_version_num')::int AS n",
    )
    this.#version = Math.trunc(Number(row?.n) / 10_000)
    const nodes: ContainerNode[] = []
    for (let i = 1; i <= replicas; i++) {
      nodes.push(new ContainerNode(`replica${i}`, await freePort(), this.#surroundings))
    }
    const created = await Promise.allSettled(nodes.map((node) => this.#createReplica(node)))
    for (const one of created) if (one.status === 'rejected') throw one.reason
    this.#replicas = nodes
    await this.catchUp()
  }

  /** Lets the replicas find a primary that came back with another address. */
  async #leadTo(node: ContainerNode): Promise<void> {
    if (node !== this.#primary) return
    for (const replica of this.#replicas) await replica.follow(node)
  }

  async #createReplica(node: ContainerNode): Promise<void> {
    if (this.#surroundings.hasSlots) await this.#primary.createSlot(node.name)
    await node.create(this.#primary)
  }
}
