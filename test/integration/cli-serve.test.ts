import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CliProcess } from '../support/cli-process.ts'
import { type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { waitFor } from '../support/wait-for.ts'

let cluster: EmbeddedCluster
const running = new Set<CliProcess>()

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 })
})

afterAll(async () => {
  for (const child of running) child.kill('SIGKILL')
  await cluster?.stop()
})

const nodeFlags = () => {
  const [primary = '', replica = ''] = [cluster.primary, ...cluster.replicas].map((node) =>
    node.urlFor('postgres'),
  )
  return ['--primary', primary, '--replica', replica]
}

function start(args: readonly string[], input = ''): CliProcess {
  const child = new CliProcess(args, input)
  running.add(child)
  return child
}

/** Starts serve on a free port; gives the connection string of a client. */
async function serve(
  flags: readonly string[] = [...nodeFlags(), '--listen', '127.0.0.1:0'],
): Promise<{ child: CliProcess; url: string }> {
  const child = start(['serve', ...flags])
  await waitFor('serve to listen', () => child.log.includes('"event":"listening"'))
  const port = /pgsplit listens on 127\.0\.0\.1:(\d+)/.exec(child.log)?.[1] ?? ''
  const url = new URL(cluster.primary.urlFor('postgres'))
  url.port = port
  return { child, url: url.href }
}

/** Whether a node runs the statement now; pgsplit may have sent it to any. */
async function isRunning(sql: string): Promise<boolean> {
  for (const node of [cluster.primary, ...cluster.replicas]) {
    const client = new pg.Client(node.urlFor('postgres'))
    await client.connect()
    const { rowCount } = await client.query(
      "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = $1",
      [sql],
    )
    await client.end()
    if (rowCount === 1) return true
  }
  return false
}

describe('pgsplit serve as a process', () => {
  it('serves, and ends with 0 at SIGTERM', async () => {
    const { child, url } = await serve()
    const client = new pg.Client(url)
    client.on('error', () => {})
    await client.connect()
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    child.kill('SIGTERM')
    const { code, err } = await child.ended
    expect(code).toBe(0)
    expect(err).toContain('"reason":"drained"')
    expect(err).not.toContain(cluster.password)
    await client.end().catch(() => {})
  })

  it('waits for a request in flight at the first signal and ends at once at the second', async () => {
    const { child, url } = await serve()
    const client = new pg.Client(url)
    client.on('error', () => {})
    await client.connect()
    const slow = client.query('SELECT pg_sleep(60)').catch((error: unknown) => error)
    await waitFor('the slow request to run', () => isRunning('SELECT pg_sleep(60)'))
    child.kill('SIGINT')
    await waitFor('serve to hear', () => child.log.includes('"event":"stopping"'))
    child.kill('SIGINT')
    const { code, err } = await child.ended
    expect(code).toBe(0)
    expect(err).toContain('"reason":"second_signal"')
    expect(await slow).toBeInstanceOf(Error)
    await client.end().catch(() => {})
  })

  it('reads its file again at SIGHUP, keeps it when it is wrong, and ends at SHUTDOWN', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pgsplit-serve-'))
    const file = join(directory, 'pgsplit.yaml')
    const write = (more: Readonly<Record<string, unknown>>) => {
      const [primary = '', replica = ''] = [cluster.primary, ...cluster.replicas].map((node) =>
        node.urlFor('postgres'),
      )
      const clusters = { main: { primary, replicas: [replica] } }
      // YAML takes JSON, too.
      return writeFile(file, JSON.stringify({ listen: '127.0.0.1:0', clusters, ...more }))
    }
    await write({})
    const { child, url } = await serve(['--config', file])
    const client = new pg.Client(url)
    client.on('error', () => {})
    await client.connect()
    const pid = (await client.query('SELECT pg_backend_pid() AS pid')).rows
    await write({ limits: { maxClients: 5 } })
    child.kill('SIGHUP')
    await waitFor('the reload', () => child.log.includes('"event":"reloaded"'))
    expect(child.log).toContain('limits.maxClients')
    await write({ limits: { maxClients: 'many' } })
    child.kill('SIGHUP')
    await waitFor('the refusal', () => child.log.includes('"event":"reload_failed"'))
    expect(child.log).toMatch(/limits\.maxClients: .*pgsplit\.yaml/)
    expect((await client.query('SELECT pg_backend_pid() AS pid')).rows).toEqual(pid)
    await client.end()
    const admin = new pg.Client(url.replace(/\/postgres$/, '/pgsplit'))
    admin.on('error', () => {})
    await admin.connect()
    await admin.query('SHUTDOWN')
    const { code, err } = await child.ended
    expect(code).toBe(0)
    expect(err).toContain('"event":"stopped","reason":"operator"')
    await admin.end().catch(() => {})
    await rm(directory, { recursive: true })
  })

  it('tells an occupied port in one line', async () => {
    const blocker = createServer()
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
    const address = blocker.address()
    const port = typeof address === 'object' ? address?.port : 0
    const flags = ['--listen', `127.0.0.1:${port}`, '--log-level', 'silent']
    const { code, err } = await start(['serve', ...nodeFlags(), ...flags]).ended
    blocker.close()
    expect(code).toBe(1)
    expect(err).toMatch(new RegExp(`^pgsplit: .*127\\.0\\.0\\.1:${port}.*in use.*another.*\\n$`))
  })
})

describe('pgsplit explain as a process', () => {
  it('judges by the live catalog', async () => {
    const admin = new pg.Client(cluster.primary.urlFor('postgres'))
    await admin.connect()
    await admin.query(`CREATE TABLE t (id int); CREATE SEQUENCE s;
      CREATE FUNCTION harmless() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
      CREATE VIEW writing AS SELECT nextval('s')`)
    await admin.end()
    const statements = [
      ['SELECT * FROM t', 'replica'],
      ['SELECT harmless()', 'replica'],
      ["SELECT nextval('s')", 'primary'],
      ['SELECT * FROM writing', 'primary'],
      ['SELECT * FROM unknown_table', 'primary'],
      ['INSERT INTO t VALUES (1)', 'primary'],
      ['BEGIN', 'primary'],
      ['not sql at all', 'primary'],
      ['LISTEN x', 'primary'],
    ]
    const input = statements.map(([sql]) => JSON.stringify(sql)).join('\n')
    const { code, out, err } = await start(['explain', ...nodeFlags(), '--json', '-'], input).ended
    expect(err).toBe('')
    expect(code).toBe(0)
    const answers = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(answers.map(({ sql, route }) => [sql, route])).toEqual(statements)
    for (const answer of answers) {
      expect(Object.keys(answer)).toEqual(['sql', 'class', 'route', 'pin', 'reason'])
      expect(answer.reason).not.toBe('')
    }
    expect(answers.at(-1).pin).not.toBeNull()
  })

  it('prints one statement for people', async () => {
    const { code, out } = await start(['explain', ...nodeFlags(), "SELECT nextval('s')"]).ended
    expect(code).toBe(0)
    expect(out).toMatch(/^route {3}primary\nclass {3}\w+\nreason {2}.*nextval/)
  })

  it('tells in one line that the primary is not there, or has no such database', async () => {
    const gone = await start(['explain', '--primary', 'postgres://m@127.0.0.1:1', 'SELECT 1']).ended
    expect(gone.code).toBe(1)
    expect(gone.err).toMatch(
      /^pgsplit: can't read the primary's catalog: 127\.0\.0\.1:1: connection refused;.*\n$/,
    )
    const none = await start(['explain', ...nodeFlags(), '-d', 'nosuchdb', 'SELECT 1']).ended
    expect(none.code).toBe(1)
    expect(none.err).toMatch(/^pgsplit: .*"nosuchdb" does not exist: .*\n$/)
  })
})
