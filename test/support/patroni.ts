import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Account, unprivilegedAccount } from '../../src/embedded/account.ts'
import { freePort } from '../../src/embedded/free-port.ts'
import {
  endProcessesUnder,
  processesUnder,
  removeCluster,
  signalAll,
} from '../../src/embedded/processes.ts'
import { debianBinDir } from './cluster.ts'
import { runProgram } from './run-program.ts'
import { waitFor } from './wait-for.ts'

/** Programs that the tests with a real Patroni need, and that are not installed. */
export function missingForPatroni(): string[] {
  const programs = ['patroni', 'patronictl', 'etcd'].filter(
    (name) => !existsSync(`/usr/bin/${name}`),
  )
  return debianBinDir() === null ? [...programs, 'postgresql-15'] : programs
}

interface PatroniNode {
  readonly name: string
  readonly directory: string
  readonly port: number
  readonly restPort: number
}

/** etcd, and PostgreSQL servers each under a Patroni of its own, on loopback. */
export class PatroniCluster {
  readonly password = randomBytes(12).toString('hex')
  readonly database = 'postgres'
  readonly nodes: readonly PatroniNode[]
  readonly #directory: string
  readonly #etcdPort: number
  readonly #account: Account | undefined
  readonly #children = new Set<ChildProcess>()

  private constructor(
    directory: string,
    etcdPort: number,
    nodes: readonly PatroniNode[],
    account: Account | undefined,
  ) {
    this.#directory = directory
    this.#etcdPort = etcdPort
    this.nodes = nodes
    this.#account = account
  }

  /** Resolves when one node leads and all others follow it. */
  static async start(size = 3): Promise<PatroniCluster> {
    const account = unprivilegedAccount()
    const directory = await mkdtemp(join(tmpdir(), 'pgsplit-patroni-'))
    if (account !== undefined) chownSync(directory, account.uid, account.gid)
    const nodes: PatroniNode[] = []
    for (let i = 1; i <= size; i++) {
      const name = `pg${i}`
      const port = await freePort()
      nodes.push({ name, directory: join(directory, name), port, restPort: await freePort() })
    }
    const cluster = new PatroniCluster(directory, await freePort(), nodes, account)
    try {
      await cluster.#startEtcd(await freePort())
      for (const node of nodes) {
        cluster.#prepare(node)
        cluster.startNode(node.name)
      }
      await waitFor(
        'a leader and its replicas',
        async () => {
          const members = await cluster.members()
          const leads = members.filter(
            ({ role, state }) => role === 'leader' && state === 'running',
          )
          const follow = members.filter(({ state }) => /^(running|streaming)$/.test(state ?? ''))
          return leads.length === 1 && follow.length === size
        },
        90_000,
        250,
      )
    } catch (error) {
      const logs = nodes.map((node) => cluster.logTail(node.name)).join('\n')
      await cluster.stop()
      throw new Error(`no Patroni cluster: ${error}\n${logs}`)
    }
    return cluster
  }

  get urls(): string[] {
    return this.nodes.map(({ restPort }) => `http://127.0.0.1:${restPort}`)
  }

  /** What any Patroni that answers says of the members. */
  async members(): Promise<{ name: string; role?: string; state?: string }[]> {
    for (const url of this.urls) {
      try {
        const answer = await fetch(`${url}/cluster`, { signal: AbortSignal.timeout(2000) })
        return ((await answer.json()) as { members: { name: string }[] }).members
      } catch {
        // the next one
      }
    }
    return []
  }

  async leader(): Promise<string | undefined> {
    const members = await this.members()
    return members.find(({ role }) => role === 'leader')?.name
  }

  url(name: string, database = 'postgres'): string {
    const { port } = this.#node(name)
    return `postgres://postgres:${this.password}@127.0.0.1:${port}/${database}`
  }

  startNode(name: string): void {
    const { directory } = this.#node(name)
    this.#spawn('/usr/bin/patroni', ['patroni.json'], directory, 'patroni.log')
  }

  /** SIGKILL for Patroni, the postmaster and all its children, like the loss of the machine. */
  killNode(name: string): void {
    signalAll(processesUnder(this.#node(name).directory), 'SIGKILL')
  }

  /** `patronictl switchover`; resolves when it has said that it is done. */
  async switchover(from: string, to: string): Promise<void> {
    const file = join(this.#node(from).directory, 'patroni.json')
    const args = ['-c', file, 'switchover', '--leader', from, '--candidate', to, '--force']
    const { code, out, err } = await runProgram('/usr/bin/patronictl', args)
    if (code !== 0) throw new Error(`patronictl switchover: ${out}${err}`)
  }

  logTail(name: string): string {
    const file = join(this.#node(name).directory, 'patroni.log')
    if (!existsSync(file)) return `${name}: no log`
    return `${name}: ${readFileSync(file, 'utf8').split('\n').slice(-12).join('\n')}`
  }

  async stop(): Promise<void> {
    // Patroni first, with SIGKILL: it would start its server again.
    const patronis = [...this.#children].flatMap(({ pid }) => (pid === undefined ? [] : [pid]))
    signalAll(patronis, 'SIGKILL')
    await endProcessesUnder(this.#directory, [])
    await removeCluster(this.#directory)
  }

  #node(name: string): PatroniNode {
    const node = this.nodes.find((one) => one.name === name)
    if (node === undefined) throw new Error(`there is no node ${name}`)
    return node
  }

  async #startEtcd(peerPort: number): Promise<void> {
    const directory = join(this.#directory, 'etcd')
    this.#makeDirectory(directory)
    const client = `http://127.0.0.1:${this.#etcdPort}`
    const peer = `http://127.0.0.1:${peerPort}`
    const options = {
      name: 'etcd',
      'data-dir': join(directory, 'data'),
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': `etcd=${peer}`,
    }
    const args = Object.entries(options).map(([key, value]) => `--${key}=${value}`)
    this.#spawn('/usr/bin/etcd', [...args, '--unsafe-no-fsync'], directory, 'etcd.log')
    await waitFor('etcd', async () => (await fetch(`${client}/health`)).ok, 20_000, 100)
  }

  #prepare({ name, directory, port, restPort }: PatroniNode): void {
    this.#makeDirectory(directory)
    const hosts = (what: string) => `host ${what} all 127.0.0.1/32 scram-sha-256`
    const login = (username: string) => ({ username, password: this.password })
    const settings = {
      scope: 'pgsplit-test',
      name,
      restapi: { listen: `127.0.0.1:${restPort}`, connect_address: `127.0.0.1:${restPort}` },
      etcd3: { host: `127.0.0.1:${this.#etcdPort}` },
      bootstrap: {
        dcs: {
          ttl: 12,
          loop_wait: 1,
          retry_timeout: 3,
          synchronous_mode: true,
          postgresql: {
            use_pg_rewind: true,
            parameters: { max_connections: 60, fsync: 'off', wal_log_hints: 'on' },
          },
        },
        initdb: [{ encoding: 'UTF8' }, { locale: 'C' }, 'no-sync'],
        pg_hba: [hosts('all'), hosts('replication')],
      },
      postgresql: {
        listen: `127.0.0.1:${port}`,
        connect_address: `127.0.0.1:${port}`,
        data_dir: join(directory, 'data'),
        bin_dir: debianBinDir(),
        pgpass: join(directory, 'pgpass'),
        authentication: { superuser: login('postgres'), replication: login('replicator') },
        parameters: { unix_socket_directories: directory },
      },
      watchdog: { mode: 'off' },
    }
    // YAML reads JSON.
    this.#write(join(directory, 'patroni.json'), JSON.stringify(settings))
  }

  #makeDirectory(directory: string): void {
    mkdirSync(directory, { mode: 0o700 })
    if (this.#account !== undefined) chownSync(directory, this.#account.uid, this.#account.gid)
  }

  #write(file: string, text: string): void {
    writeFileSync(file, text, { mode: 0o600 })
    if (this.#account !== undefined) chownSync(file, this.#account.uid, this.#account.gid)
  }

  #spawn(program: string, args: readonly string[], directory: string, log: string): void {
    const output = openSync(join(directory, log), 'a', 0o600)
    const child = spawn(program, args, {
      cwd: directory,
      stdio: ['ignore', output, output],
      env: { PATH: process.env.PATH, HOME: directory, LANG: 'C.UTF-8' },
      ...(this.#account === undefined ? {} : { uid: this.#account.uid, gid: this.#account.gid }),
    })
    closeSync(output)
    this.#children.add(child)
    child.on('error', () => this.#children.delete(child))
    child.on('exit', () => this.#children.delete(child))
  }
}
