import { setTimeout as sleep } from 'node:timers/promises'
import { loadPg } from '../embedded/load-pg.ts'
import { queryOnce } from '../embedded/query-once.ts'
import { conninfo, type ServerSettings, settingsText } from '../embedded/server-settings.ts'
import {
  createSlot,
  hasLeft,
  pauseReplay,
  promote,
  resumeReplay,
} from '../embedded/steer-replication.ts'
import { INIT_SCRIPT, REPLICA_SCRIPT } from './container-scripts.ts'
import type { Engine, Testcontainers } from './engine.ts'
import { logText } from './log-text.ts'
import { CLUSTER_LABEL } from './remove-containers.ts'
import type { ServerNode } from './server-cluster.ts'
import { reasonOf, TestingError } from './testing-error.ts'

const STOP_TIMEOUT_MS = 20_000
const STOP_SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const
const LOG_TAIL_LINES = 12

type StartedContainer = Awaited<
  ReturnType<InstanceType<Testcontainers['GenericContainer']>['start']>
>
type Container = ReturnType<Engine['container']['getById']>

/** What a node needs to know about the cluster it belongs to. */
export interface ContainerSurroundings {
  readonly testcontainers: Testcontainers
  readonly engine: Engine
  readonly image: string
  /** Value of the containers' label and name of their network. */
  readonly clusterId: string
  readonly username: string
  readonly password: string
  readonly database: string
  readonly settings: ServerSettings
  /** Whether each replica has a replication slot. */
  readonly hasSlots: boolean
  /** How long a server may take until it accepts connections. */
  readonly startTimeoutMs: number
  /** Told when a server came back with another address in the network. */
  readonly onMoved: (node: ContainerNode) => Promise<void>
}

/** One PostgreSQL server in a container of its own, whose port is the same inside and outside. */
export class ContainerNode implements ServerNode {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly #surroundings: ContainerSurroundings
  #started: StartedContainer | undefined
  #container: Container | undefined
  #address: string | undefined
  #isRunning = false
  #isFrozen = false
  /** Settings to be made at the next start. */
  #pending: ServerSettings = {}

  constructor(name: string, port: number, surroundings: ContainerSurroundings) {
    this.name = name
    this.host = surroundings.engine.info.containerRuntime.host
    this.port = port
    this.#surroundings = surroundings
  }

  get url(): string {
    return this.urlFor(this.#surroundings.database)
  }

  get isRunning(): boolean {
    return this.#isRunning
  }

  urlFor(
    database: string,
    user = this.#surroundings.username,
    password = this.#surroundings.password,
  ): string {
    const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
    return `postgresql://${login}@${this.host}:${this.port}/${encodeURIComponent(database)}`
  }

  /** Makes the container of the primary, or of a replica of `primary`, and starts it. */
  async create(primary?: ContainerNode): Promise<void> {
    const { testcontainers, image, clusterId, username, password, database, settings } =
      this.#surroundings
    const container = new testcontainers.GenericContainer(image)
      .withNetworkMode(clusterId)
      .withNetworkAliases(this.name)
      .withLabels({ [CLUSTER_LABEL]: clusterId, 'pgsplit.testing.node': this.name })
      .withExposedPorts({ container: this.port, host: this.port })
      .withWaitStrategy(NO_WAIT)
      .withEnvironment({ PGPORT: String(this.port) })
    const command = ['postgres', '-c', `cluster_name=${this.name}`]
    if (primary === undefined) {
      container
        .withCommand(command)
        .withEnvironment({
          POSTGRES_USER: username,
          POSTGRES_PASSWORD: password,
          POSTGRES_DB: database,
        })
        .withCopyContentToContainer([
          {
            content: INIT_SCRIPT,
            target: '/docker-entrypoint-initdb.d/00-pgsplit.sh',
            mode: 0o755,
          },
          { content: settingsText(settings), target: '/etc/pgsplit-settings.conf', mode: 0o644 },
        ])
    } else {
      container
        .withEntrypoint(['bash', '-c', REPLICA_SCRIPT, 'bash', ...command])
        .withCommand([])
        .withEnvironment({
          PGSPLIT_PRIMARY: this.#conninfo(primary),
          PGSPLIT_SLOT: this.#surroundings.hasSlots ? this.name : '',
        })
    }
    const started = await container.start().catch((error) => {
      throw new TestingError(
        `the container of ${this.name} does not start: ${reasonOf(error)}; image ${image}`,
        error,
      )
    })
    this.#started = started
    this.#container = this.#surroundings.engine.container.getById(started.getId())
    await this.#whenReady()
  }

  /** Removes the container and its data. */
  async destroy(): Promise<void> {
    this.#isRunning = false
    this.#isFrozen = false
    await this.#container?.remove({ force: true, v: true })
    this.#container = undefined
  }

  async start(): Promise<void> {
    if (this.#isRunning) return
    const before = this.#address
    await this.#existing().start()
    await this.#whenReady()
    if (this.#address !== before) await this.#surroundings.onMoved(this)
    const pending = this.#pending
    this.#pending = {}
    await this.configure(pending)
  }

  async stop(mode: keyof typeof STOP_SIGNALS = 'fast'): Promise<void> {
    if (!this.#isRunning) return
    await this.thaw()
    await this.#end(STOP_SIGNALS[mode])
  }

  async restart(mode: keyof typeof STOP_SIGNALS = 'fast'): Promise<void> {
    await this.stop(mode)
    await this.start()
  }

  async kill(): Promise<void> {
    if (!this.#isRunning) return
    // an engine does not kill what it has halted
    await this.thaw()
    await this.#end('SIGKILL')
  }

  async freeze(): Promise<void> {
    if (!this.#isRunning || this.#isFrozen) return
    await this.#existing().pause()
    this.#isFrozen = true
  }

  async thaw(): Promise<void> {
    if (!this.#isFrozen) return
    await this.#existing().unpause()
    this.#isFrozen = false
  }

  promote(): Promise<void> {
    return promote(this)
  }

  pauseReplay(): Promise<void> {
    return pauseReplay(this)
  }

  resumeReplay(): Promise<void> {
    return resumeReplay(this)
  }

  async detach(): Promise<void> {
    await this.configure({ primary_conninfo: '' })
    await hasLeft(this)
  }

  async follow(primary: ContainerNode): Promise<void> {
    if (this.#surroundings.hasSlots) await primary.createSlot(this.name)
    const settings = { primary_conninfo: this.#conninfo(primary) }
    if (this.#isRunning) return this.configure(settings)
    this.#pending = settings
    const target = `${await this.#dataDirectory()}/standby.signal`
    await this.#started?.copyContentToContainer([{ content: '', target }])
  }

  createSlot(name: string): Promise<void> {
    return createSlot(this, name)
  }

  async configure(settings: ServerSettings): Promise<void> {
    const { escapeIdentifier, escapeLiteral } = await loadPg()
    for (const [name, value] of Object.entries(settings)) {
      const setting = name.split('.').map(escapeIdentifier).join('.')
      await this.query(`ALTER SYSTEM SET ${setting} = ${escapeLiteral(value)}`)
    }
    if (Object.keys(settings).length > 0) await this.query('SELECT pg_reload_conf()')
  }

  async logTail(lines = LOG_TAIL_LINES): Promise<string> {
    const tail = Number.isFinite(lines) ? { tail: lines } : {}
    return logText(await this.#existing().logs({ stdout: true, stderr: true, ...tail }))
  }

  query(
    text: string,
    values: readonly unknown[] = [],
    database = 'postgres',
  ): Promise<Record<string, unknown>[]> {
    return queryOnce({ connectionString: this.urlFor(database) }, text, values)
  }

  async #dataDirectory(): Promise<string> {
    const { Config } = await this.#existing().inspect()
    const found = Config.Env.find((line) => line.startsWith('PGDATA='))
    if (found !== undefined) return found.slice('PGDATA='.length)
    throw new TestingError(`the image ${this.#surroundings.image} does not say its PGDATA`)
  }

  #existing(): Container {
    if (this.#container === undefined) {
      throw new TestingError(`${this.name} has no container; the cluster was stopped`)
    }
    return this.#container
  }

  /**
   * By address: a name that the engine no longer knows, because its server was stopped, is asked of
   * the world outside. A replica that waits for that answer can't be promoted.
   */
  #conninfo(primary: ContainerNode): string {
    return conninfo({
      hostaddr: primary.#address ?? '',
      port: primary.port,
      user: this.#surroundings.username,
      password: this.#surroundings.password,
      application_name: this.name,
    })
  }

  /** The image's first server listens on its Unix socket alone: TCP opens when all is ready. */
  async #whenReady(): Promise<void> {
    const { startTimeoutMs, image } = this.#surroundings
    const deadline = performance.now() + startTimeoutMs
    for (;;) {
      const failure = await this.query('SELECT 1').then(
        () => undefined,
        (error: unknown) => reasonOf(error),
      )
      if (failure === undefined) break
      const { State } = await this.#existing().inspect()
      if (!State.Running || performance.now() > deadline) {
        const how = State.Running ? `takes over ${startTimeoutMs} ms` : `ended (${State.ExitCode})`
        const log = (await this.logTail(4)).split('\n').join('; ')
        throw new TestingError(
          `server ${this.name} of ${image} ${how}: ${failure}; its log: ${log}`,
        )
      }
      await sleep(50)
    }
    const { NetworkSettings } = await this.#existing().inspect()
    this.#address = NetworkSettings.Networks[this.#surroundings.clusterId]?.IPAddress
    this.#isRunning = true
  }

  async #end(signal: string): Promise<void> {
    const container = this.#existing()
    const ended = container.wait()
    await container.kill({ signal })
    const timer = setTimeout(() => void container.kill().catch(() => {}), STOP_TIMEOUT_MS)
    await ended
    clearTimeout(timer)
    this.#isRunning = false
  }
}

/** We ask the server itself. */
const NO_WAIT = {
  waitUntilReady: () => Promise.resolve(),
  withStartupTimeout: () => NO_WAIT,
  isStartupTimeoutSet: () => true,
  getStartupTimeout: () => 0,
}
