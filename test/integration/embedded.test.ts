import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { embeddedBinDir } from '../../src/embedded/binaries.ts'
import { processesUnder } from '../../src/embedded/processes.ts'
import { startEmbedded } from '../../src/embedded/start-embedded.ts'
import { type EmbeddedCluster, sql, startCluster, transactionsPerNode } from '../support/cluster.ts'
import { waitFor } from '../support/wait-for.ts'

// a directory of our own, since other tests may start clusters at the same time
const TEMPORARY = mkdtempSync(join(tmpdir(), 'test-'))
chmodSync(TEMPORARY, 0o755)
process.env.TMPDIR = TEMPORARY
afterAll(() => rm(TEMPORARY, { recursive: true, force: true }))

const CHILD = fileURLToPath(new URL('../support/embedded-child.ts', import.meta.url))

describe('an embedded cluster', () => {
  let cluster: EmbeddedCluster
  const steps: string[] = []

  beforeAll(async () => {
    cluster = await startCluster({
      database: 'shop',
      settings: { work_mem: '5MB' },
      onProgress: (step) => steps.push(step),
    })
  })
  afterAll(() => cluster?.stop())

  const inRecovery = async (url: string) => {
    const [row] = await sql<{ r: boolean }>(url, 'SELECT pg_is_in_recovery() AS r')
    return row?.r
  }

  it('has a primary and two replicas that stream from it', async () => {
    expect(await Promise.all(cluster.nodes.map(({ url }) => inRecovery(url)))).toEqual([
      false,
      true,
      true,
    ])
    await sql(cluster.primary.url, 'CREATE TABLE t AS SELECT 1 AS one')
    await cluster.catchUp()
    for (const replica of cluster.replicas) {
      expect(await sql(replica.url, 'SELECT one FROM t')).toEqual([{ one: 1 }])
    }
    expect(steps.at(-1)).toBe('all nodes are up')
  })

  it('takes settings and asks for a password', async () => {
    expect(await sql(cluster.primary.url, 'SHOW work_mem')).toEqual([{ work_mem: '5MB' }])
    await expect(
      sql(cluster.primary.urlFor('shop', 'postgres', 'wrong'), 'SELECT 1'),
    ).rejects.toThrow(/password authentication failed/)
  })

  it('counts transactions per node', async () => {
    const before = await transactionsPerNode(cluster)
    const [replica] = cluster.replicas
    // a log-in is a transaction too
    for (let i = 0; i < 3; i++) await sql(replica?.url ?? '', 'SELECT 1')
    const after = await transactionsPerNode(cluster)
    expect(after.map(({ commits }, i) => commits - (before[i]?.commits ?? 0))).toEqual([0, 6, 0])
  })

  it('pauses the replay of a replica, and cuts it off', async () => {
    const replica = cluster.node('replica1')
    const ones = async () => (await sql(replica.url, 'SELECT one FROM t')).length
    await replica.pauseReplay()
    await sql(cluster.primary.url, 'INSERT INTO t VALUES (1)')
    expect(await ones()).toBe(1)
    await replica.resumeReplay()
    await cluster.catchUp()
    expect(await ones()).toBe(2)

    await replica.detach()
    await sql(cluster.primary.url, 'INSERT INTO t VALUES (1)')
    expect(await ones()).toBe(2)
    await replica.follow(cluster.primary)
    await cluster.catchUp()
    expect(await ones()).toBe(3)
  })

  it('freezes a node, which then holds connections but answers nothing', async () => {
    const replica = cluster.node('replica1')
    replica.freeze()
    const socket = createConnection(replica.port, replica.host)
    await new Promise((resolve) => socket.once('connect', resolve))
    let answered = false
    socket.once('data', () => {
      answered = true
    })
    socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
    for (let i = 0; i < 3; i++) await sql(cluster.primary.url, 'SELECT pg_sleep(0.1)')
    expect(answered).toBe(false)
    replica.thaw()
    await waitFor('the answer to the SSLRequest', () => answered)
    socket.destroy()
  })

  it('kills and restarts a node on the same port', async () => {
    const replica = cluster.node('replica2')
    const { pid, port } = replica
    await replica.kill()
    expect(replica.isRunning).toBe(false)
    expect(replica.pid).toBeUndefined()
    await expect(sql(replica.url, 'SELECT 1')).rejects.toThrow(/ECONNREFUSED/)
    await replica.start()
    expect(replica.pid).not.toBe(pid)
    expect(replica.port).toBe(port)
    expect(await inRecovery(replica.url)).toBe(true)
    await replica.restart()
    await cluster.catchUp()
  })

  it('fails over, takes the old primary back as a replica, and grows', async () => {
    const old = cluster.primary
    const next = cluster.node('replica1')
    await old.kill()
    await cluster.failover(next)
    expect(cluster.primary).toBe(next)
    expect(cluster.nodes.map(({ name }) => name)).toEqual(['replica1', 'replica2'])
    await sql(next.url, 'INSERT INTO t VALUES (2)')
    await cluster.catchUp()

    await cluster.rejoin(old)
    expect(await inRecovery(old.url)).toBe(true)
    const added = await cluster.addReplica()
    expect(await sql(added.url, 'SELECT one FROM t WHERE one = 2')).toEqual([{ one: 2 }])
    await expect(cluster.addReplica(added.name)).rejects.toThrow(/has a node .* already/)
    expect(cluster.nodes).toHaveLength(4)
  })

  it('leaves nothing behind after stop', async () => {
    const { directory } = cluster
    await cluster.node('replica2').kill()
    cluster.node('primary').freeze()
    await cluster.stop()
    await cluster.stop()
    expect(existsSync(directory)).toBe(false)
    expect(processesUnder(directory)).toEqual([])
  })
})

describe('a process that started a cluster', () => {
  const started: ChildProcess[] = []
  afterAll(() => {
    for (const child of started) child.kill('SIGKILL')
  })

  async function startChild(...args: string[]) {
    const child = spawn(process.execPath, [CHILD, ...args], {
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    })
    started.push(child)
    const exit = new Promise((resolve) => child.once('exit', resolve))
    for await (const line of createInterface({ input: child.stdout })) {
      return { child, exit, ...(JSON.parse(line) as { directory: string; pids: number[] }) }
    }
    throw new Error('the child said nothing')
  }

  const isGone = (directory: string) =>
    !existsSync(directory) && processesUnder(directory).length === 0 && watchdogs(directory) === 0

  it.each([
    ['killed with SIGKILL', 'SIGKILL'],
    ['interrupted with Ctrl-C', 'SIGINT'],
  ] as const)('leaves nothing behind when it is %s', async (_, signal) => {
    const { child, directory, pids } = await startChild('stay')
    expect(processesUnder(directory)).toEqual(expect.arrayContaining(pids))
    expect(watchdogs(directory)).toBe(1)
    process.kill(-(child.pid ?? 0), signal)
    await waitFor('everything to be gone', () => isGone(directory))
  })

  it.each([['throw'], ['end']])('leaves nothing behind when it ends by %s', async (way) => {
    const { exit, directory } = await startChild(way)
    expect(await exit).toBe(way === 'throw' ? 1 : 0)
    await waitFor('everything to be gone', () => isGone(directory))
  })

  it('leaves nothing behind when it is killed in the middle of the start', async () => {
    const before = new Set(clusterDirectories())
    const child = spawn(process.execPath, [CHILD, 'stay'], { stdio: 'ignore' })
    started.push(child)
    const directory = await waitFor('initdb to work', () =>
      clusterDirectories().find((path) => !before.has(path) && processesUnder(path).length > 0),
    )
    child.kill('SIGKILL')
    await waitFor('everything to be gone', () => isGone(directory))
  })
})

describe('the binaries', () => {
  const scratch = join(TEMPORARY, 'binaries')

  async function copyOfPackage(at: string, withLinks: boolean): Promise<string> {
    const native = join(embeddedBinDir(), '..')
    await mkdir(join(at, '..'), { recursive: true })
    execFileSync('cp', ['-Rlp', native, at])
    const links: { target: string }[] = JSON.parse(
      await readFile(join(native, 'pg-symlinks.json'), 'utf8'),
    )
    for (const { target } of withLinks ? [] : links) await rm(join(at, '..', target))
    return join(at, 'bin')
  }

  it('work when the postinstall script that makes the library links was blocked', async () => {
    const binDir = await copyOfPackage(join(scratch, 'unlinked', 'native'), false)
    expect(readdirSync(join(binDir, '..', 'lib'))).not.toContain('libicuuc.so.60')
    await using cluster = await startEmbedded({ replicas: 1, binDir })
    expect(await sql(cluster.primary.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  it.skipIf(process.getuid?.() !== 0)(
    'work for root where no other account can read them',
    async () => {
      await mkdir(join(scratch, 'private'), { mode: 0o700, recursive: true })
      for (const links of [true, false]) {
        const binDir = await copyOfPackage(join(scratch, 'private', `${links}`, 'native'), links)
        await using cluster = await startEmbedded({ replicas: 0, binDir })
        expect(await sql(cluster.primary.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
      }
    },
  )

  it.each([
    [{ binDir: '/nowhere/bin' }, /^\/nowhere\/bin has no initdb; give the bin directory/],
    [{ replicas: 99 }, /^replicas is 99; give a number from 0 to 15$/],
    [{ settings: { shared_buffers: 'lots' } }, /server primary did not start: .*shared_buffers/],
    [{ tls: { certFile: '/nowhere.crt', keyFile: '/nowhere.key' } }, /nowhere\.crt/],
  ])('say what is wrong in one line for %j and leave nothing behind', async (options, message) => {
    const before = clusterDirectories()
    const error = await startEmbedded(options).catch((reason: Error) => reason)
    expect(error).toBeInstanceOf(Error)
    expect((error as Error).message).toMatch(message)
    expect((error as Error).message).not.toContain('\n')
    expect(clusterDirectories()).toEqual(before)
  })

  it('say which program cannot run', async () => {
    const binDir = join(scratch, 'broken', 'bin')
    await mkdir(binDir, { recursive: true })
    await writeFile(join(binDir, 'initdb'), '#!/bin/sh\n', { mode: 0o755 })
    await writeFile(join(binDir, 'postgres'), '#!/nowhere/loader\n', { mode: 0o755 })
    await expect(startEmbedded({ binDir })).rejects.toThrow(/postgres does not run.*binDir/)
  })
})

function clusterDirectories(): string[] {
  return readdirSync(tmpdir())
    .filter((name) => name.startsWith('pgsplit-'))
    .map((name) => join(tmpdir(), name))
}

/** How many watchdog processes guard the directory; Linux only. */
function watchdogs(directory: string): number {
  if (process.platform !== 'linux') return existsSync(directory) ? 1 : 0
  return readdirSync('/proc').filter((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      return line.includes('watchdog.ts') && line.includes(directory)
    } catch {
      return false
    }
  }).length
}
