import { appendFile, chmod, chown, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from './account.ts'
import type { Binaries } from './binaries.ts'
import { Postmaster, type StopMode } from './postmaster.ts'
import { queryOnce } from './query-once.ts'
import type { Scratch } from './scratch.ts'
import { conninfo, type ServerSettings, settingsText } from './server-settings.ts'
import { createSlot, hasLeft, pauseReplay, promote, resumeReplay } from './steer-replication.ts'

const LOG_TAIL_LINES = 12

/** What a node needs to know about the cluster it belongs to. */
export interface NodeSurroundings {
  readonly binaries: Binaries
  readonly account: Account | undefined
  readonly scratch: Scratch
  readonly socketDir: string
  readonly password: string
  readonly database: string
}

/** One PostgreSQL server of an embedded cluster. Its port stays the same over every restart. */
export class EmbeddedNode {
  readonly name: string
  readonly host = '127.0.0.1'
  readonly port: number
  readonly dataDir: string
  readonly logFile: string
  readonly #surroundings: NodeSurroundings
  readonly #postmaster: Postmaster

  constructor(name: string, port: number, surroundings: NodeSurroundings) {
    this.name = name
    this.port = port
    this.#surroundings = surroundings
    this.dataDir = join(surroundings.scratch.path, name)
    this.logFile = join(surroundings.scratch.path, `${name}.log`)
    const { dataDir, logFile } = this
    this.#postmaster = new Postmaster({ ...surroundings, name, dataDir, logFile })
  }

  /** Connection string for the superuser and the cluster's database, password included. */
  get url(): string {
    return this.urlFor(this.#surroundings.database)
  }

  /** Connection string for another database or user. */
  urlFor(database: string, user = 'postgres', password = this.#surroundings.password): string {
    const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
    return `postgresql://${login}@${this.host}:${this.port}/${encodeURIComponent(database)}`
  }

  /** The postmaster's pid, `undefined` while it doesn't run. */
  get pid(): number | undefined {
    return this.#postmaster.pid
  }

  get isRunning(): boolean {
    return this.#postmaster.isRunning
  }

  /** Starts the server and resolves when it accepts connections. */
  start(): Promise<void> {
    return this.#postmaster.start()
  }

  /** Stops the server in order; by force when it takes over 20 s. */
  stop(mode: StopMode = 'fast'): Promise<void> {
    return this.#postmaster.stop(mode)
  }

  /** Stops and starts the server again. */
  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.stop(mode)
    await this.start()
  }

  /** SIGKILL for the postmaster and all its children, like the loss of the machine. */
  kill(): Promise<void> {
    return this.#postmaster.kill()
  }

  /** SIGSTOP for every process of the server: it holds its connections but answers nothing. */
  freeze(): void {
    this.#postmaster.freeze()
  }

  /** Lets a frozen server go on. */
  thaw(): void {
    this.#postmaster.thaw()
  }

  /** The last lines of the server's log. */
  logTail(lines = LOG_TAIL_LINES): Promise<string> {
    return this.#postmaster.logTail(lines)
  }

  /** Makes a replica a primary and resolves when it accepts writes. */
  async promote(): Promise<void> {
    await promote(this)
    await rm(join(this.dataDir, 'standby.conf'), { force: true })
  }

  /** Stops the replay of WAL on a replica (it is still received) and resolves when it stands. */
  pauseReplay(): Promise<void> {
    return pauseReplay(this)
  }

  resumeReplay(): Promise<void> {
    return resumeReplay(this)
  }

  /** Cuts a replica off from its primary; it goes on serving what it has. */
  async detach(): Promise<void> {
    await this.writeSettings('standby.conf', { primary_conninfo: '' })
    await this.reload()
    await hasLeft(this)
  }

  /** Lets a replica stream from `primary`, where its replication slot is made if there is none. */
  async follow(primary: EmbeddedNode): Promise<void> {
    await primary.createSlot(this.name)
    await this.writeStandbySettings(primary)
    if (this.isRunning) await this.reload()
  }

  /** Makes the physical replication slot that the replica `name` uses. */
  createSlot(name: string): Promise<void> {
    return createSlot(this, name)
  }

  /** Writes what makes this data directory a replica of `primary`. */
  async writeStandbySettings(primary: EmbeddedNode): Promise<void> {
    await this.writeFiles({ 'standby.signal': '' })
    await this.writeSettings('standby.conf', {
      primary_slot_name: this.name,
      primary_conninfo: conninfo({
        host: this.#surroundings.socketDir,
        port: primary.port,
        user: 'postgres',
        password: this.#surroundings.password,
        application_name: this.name,
      }),
    })
  }

  /** Changes settings of `postgresql.conf`; those that need it take effect at the next start. */
  async configure(settings: ServerSettings): Promise<void> {
    await appendFile(join(this.dataDir, 'pgsplit.conf'), settingsText(settings))
    await this.reload()
  }

  /** Lets the server read its files again. */
  async reload(): Promise<void> {
    await this.query('SELECT pg_reload_conf()')
  }

  async writeSettings(file: string, settings: ServerSettings): Promise<void> {
    await this.writeFiles({ [file]: settingsText(settings) })
  }

  /** Writes files into the data directory, for the server's account alone. */
  async writeFiles(files: Readonly<Record<string, string>>): Promise<void> {
    const { account } = this.#surroundings
    for (const [name, text] of Object.entries(files)) {
      const path = join(this.dataDir, name)
      await writeFile(path, text, { mode: 0o600 })
      await chmod(path, 0o600)
      if (account !== undefined) await chown(path, account.uid, account.gid)
    }
  }

  /** Runs one statement as superuser over the Unix socket, past pg_hba's TCP lines. */
  query(
    text: string,
    values: readonly unknown[] = [],
    database = 'postgres',
  ): Promise<Record<string, unknown>[]> {
    const { socketDir: host, password } = this.#surroundings
    const where = { host, port: this.port, user: 'postgres', password, database }
    return queryOnce(where, text, values)
  }
}
