import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lookupFunction, monitorSql } from '../../src/auth/role-sql.ts'
import { CliProcess, type Ended } from '../support/cli-process.ts'
import { type EmbeddedCluster, sql, startCluster } from '../support/cluster.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { waitFor } from '../support/wait-for.ts'

let cluster: EmbeddedCluster
let directory: string
const running = new Set<CliProcess>()

beforeAll(async () => {
  cluster = await startCluster({ replicas: 2 })
  directory = await mkdtemp(join(tmpdir(), 'pgsplit-first-'))
  await admin("CREATE ROLE app LOGIN PASSWORD 'its-own'")
})

afterAll(async () => {
  for (const child of running) child.kill('SIGKILL')
  await cluster?.stop()
  await rm(directory, { recursive: true, force: true })
})

const admin = (text: string) => sql(cluster.primary.urlFor('postgres'), text)

async function pgsplit(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const child = new CliProcess(args, '', env)
  running.add(child)
  const ended = await child.ended
  running.delete(child)
  return ended
}

const monitorUrl = (
  node: { readonly host: string; readonly port: number },
  database = 'postgres',
) => `postgres://pgsplit_monitor:secret@${node.host}:${node.port}/${database}`

/** The first `serve` of docs/: the nodes, and nothing else. */
async function serve(
  args: readonly string[],
  use: (url: string, log: () => string) => Promise<void>,
) {
  const child = new CliProcess(['serve', ...args], '')
  running.add(child)
  try {
    await waitFor('serve to listen', () => child.log.includes('"event":"listening"'))
    const port = /pgsplit listens on 127\.0\.0\.1:(\d+)/.exec(child.log)?.[1] ?? ''
    await use(`127.0.0.1:${port}`, () => child.log)
  } finally {
    child.kill('SIGTERM')
    await child.ended
    running.delete(child)
  }
}

const nodeFlags = (database = 'postgres') => [
  '--listen',
  '127.0.0.1:0',
  '--primary',
  monitorUrl(cluster.primary, database),
  ...cluster.replicas.flatMap((node) => ['--replica', monitorUrl(node, database)]),
]

/** `user` and what it gets: its name, or SQLSTATE and message. */
const logIn = (at: string, user: string, password: string): Promise<string> =>
  sql<{ me: string }>(
    `postgres://${user}:${password}@${at}/postgres`,
    'SELECT current_user AS me',
  ).then(
    ([row]) => row?.me ?? '',
    ({ code, message }) => `${code} ${message}`,
  )

describe('the first hour', () => {
  it("tells at its start that roles can't be looked up, and lets them in once the SQL of docs/ ran", async () => {
    await admin(
      "CREATE ROLE pgsplit_monitor LOGIN PASSWORD 'secret'; GRANT pg_monitor TO pgsplit_monitor",
    )
    await cluster.catchUp()
    await serve(nodeFlags(), async (at, log) => {
      await waitFor('the warning', () => log().includes('lookup_unusable'))
      expect(log()).toContain('there is no function pgsplit.role_secret(text) in database postgres')
      expect(log()).toContain('pgsplit setup')
      const refused = '57P03 cannot look up roles: the monitor may not read their passwords'
      expect(await logIn(at, 'app', 'its-own')).toBe(refused)
      await waitFor('the reason', () =>
        /"login_refused".*"detail":"[^"]*pgsplit.role_secret/.test(log()),
      )
      // As docs/ have it, and again.
      await admin(monitorSql({ password: 'secret' }))
      await admin(monitorSql({ password: 'secret' }))
      await waitFor(
        'the look-up to be tried again',
        async () => (await logIn(at, 'app', 'its-own')) === 'app',
      )
      expect(await logIn(at, 'app', 'wrong')).toContain('28P01')
      // Superusers are left out, and the log says so.
      expect(await logIn(at, 'postgres', cluster.password)).toContain('28P01')
      await waitFor('the reason', () => log().includes('is a superuser, and the look-up function'))
      expect(log().match(/lookup_unusable/g)).toHaveLength(1)
    })
  })

  it('takes no function that somebody else has made, and goes back to it when it is mended', async () => {
    await admin(`CREATE ROLE intruder LOGIN PASSWORD 'x';
      ALTER FUNCTION ${lookupFunction}(text) OWNER TO intruder`)
    await serve(nodeFlags(), async (at, log) => {
      await waitFor('the warning', () => log().includes('lookup_unusable'))
      expect(log()).toContain("it is no superuser's")
      expect(await logIn(at, 'app', 'its-own')).toContain('57P03')
      await admin(monitorSql({ password: 'secret' }))
      await waitFor(
        'roles to be looked up',
        async () => (await logIn(at, 'app', 'its-own')) === 'app',
      )
      // Within a chosen way, too: the very next log-in.
      await admin(`ALTER FUNCTION ${lookupFunction}(text) OWNER TO intruder`)
      expect(await logIn(at, 'app', 'its-own')).not.toBe('app')
      await admin(monitorSql({ password: 'secret' }))
    })
  })

  it('says which database misses the function', async () => {
    await admin('CREATE DATABASE elsewhere')
    await cluster.catchUp()
    await serve(nodeFlags('elsewhere'), async (_, log) => {
      await waitFor('the warning', () => log().includes('lookup_unusable'))
      expect(log()).toContain('in database elsewhere')
    })
    const { code, out } = await pgsplit(['check', ...nodeFlags('elsewhere')])
    expect(code).toBe(1)
    expect(out).toContain('in database elsewhere')
  })
})

describe('pgsplit setup', () => {
  it('prints the SQL, or runs it as often as wanted', async () => {
    const printed = await pgsplit(['setup', '--monitor', 'Watch "er"'])
    expect(printed.code).toBe(0)
    await admin(printed.out)
    const url = cluster.primary.urlFor('postgres')
    const first = await pgsplit(['setup', '--run', '--primary', url, '--monitor', 'watcher'])
    expect(first).toMatchObject({ code: 0, err: '' })
    const password = /shown only now: (\S+)/.exec(first.out)?.[1] ?? ''
    const watcher = `postgres://watcher:${password}@${cluster.primary.host}:${cluster.primary.port}/postgres`
    expect((await pgsplit(['check', '--primary', watcher])).code).toBe(0)
    const again = await pgsplit(['setup', '--run', '--primary', url, '--monitor', 'watcher'])
    expect(again.out).toContain('keeps its password')
    expect((await pgsplit(['check', '--primary', watcher])).code).toBe(0)
  })

  it('refuses a standby, and who is no superuser', async () => {
    const standby = cluster.replicas[0]?.urlFor('postgres') ?? ''
    expect(await pgsplit(['setup', '--run', '--primary', standby])).toMatchObject({
      code: 1,
      err: expect.stringContaining('this is a standby'),
    })
    const ordinary = `postgres://app:its-own@${cluster.primary.host}:${cluster.primary.port}/postgres`
    expect(await pgsplit(['setup', '--run', '--primary', ordinary])).toMatchObject({
      code: 1,
      err: expect.stringContaining('is no superuser'),
    })
  })
})

/** The test's replicas stream through a socket, which shows no address. */
async function streamOverTcp(): Promise<void> {
  const { host, port } = cluster.primary
  for (const replica of cluster.replicas) {
    const to = `host=${host} port=${port} user=postgres password=${cluster.password} application_name=${replica.name}`
    await sql(replica.urlFor('postgres'), `ALTER SYSTEM SET primary_conninfo = '${to}'`)
    await sql(replica.urlFor('postgres'), 'SELECT pg_reload_conf()')
  }
  const seen =
    "SELECT FROM pg_stat_replication WHERE client_addr IS NOT NULL AND state = 'streaming'"
  await waitFor('replicas over TCP', async () => (await admin(seen)).length === 2)
}

describe('pgsplit init', () => {
  beforeAll(streamOverTcp)

  it('writes a file from one primary: three commands from a cluster to a routed query', async () => {
    const [replica, hidden] = cluster.replicas
    if (replica === undefined || hidden === undefined) throw new Error('no replicas')
    // Where servers run on hosts of their own, all listen at the same port.
    const relay = await TcpRelay.start(cluster.primary.port, {
      host: '127.0.0.2',
      port: replica.port,
    })
    const file = join(directory, 'pgsplit.yaml')
    try {
      const env = { MONITOR_PASSWORD: 'secret' }
      const url = cluster.primary.urlFor('postgres')
      expect((await pgsplit(['setup', '--run', '--primary', url], env)).code).toBe(0)
      const primary = `postgres://pgsplit_monitor:\${MONITOR_PASSWORD}@127.0.0.2:${replica.port}/postgres`
      const init = ['init', '--primary', primary, '--listen', '127.0.0.1:0', '--out', file]
      const made = await pgsplit(init, env)
      expect(made).toMatchObject({ code: 0, err: '' })
      expect(made.out).toContain('a primary and 1 replica\n')
      const text = await readFile(file, 'utf8')
      expect(text).not.toContain('secret')
      expect(text).toContain(`@127.0.0.1:${replica.port}/postgres`)
      expect(await pgsplit(init, env)).toMatchObject({
        code: 1,
        err: expect.stringContaining('--force'),
      })
      expect((await pgsplit([...init, '--force'], env)).code).toBe(0)
      process.env.MONITOR_PASSWORD = 'secret'
      await serve(['--config', file], async (at) => {
        const client = new pg.Client(`postgres://app:its-own@${at}/postgres`)
        await client.connect()
        await client.query('SELECT 1')
        const { rows } = await client.query('SHOW pgsplit.last_route')
        expect(JSON.stringify(rows)).toContain(`:${replica.port}: `)
        await client.end()
      })
    } finally {
      delete process.env.MONITOR_PASSWORD
      relay.stop()
    }
  })

  it('tells of standbys that it can not reach, takes those that are named, and writes a password only when told to', async () => {
    const url = cluster.primary.urlFor('postgres')
    const found = await pgsplit(['init', '--primary', url, '--out', '-'])
    expect(found.code).toBe(0)
    expect(found.out).toMatch(/# not reached: \S+ streams from 127\.0\.0\.1, but/)
    const file = join(directory, 'plain.yaml')
    const replica = cluster.replicas[0]?.urlFor('postgres') ?? ''
    const args = ['init', '--primary', url, '--replica', replica, '--out', file]
    const plain = await pgsplit([...args, '--with-password'])
    expect(plain.out).toContain('in plain text')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readFile(file, 'utf8')).toContain('in plain text')
    expect((await pgsplit(['check', '--config', file])).code).toBe(0)
  })
})
