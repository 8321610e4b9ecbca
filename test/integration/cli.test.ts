import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/parse-config.ts'
import { hbaText } from '../../src/embedded/server-settings.ts'
import { createLogger } from '../../src/log.ts'
import { startProxy } from '../../src/proxy.ts'
import { CliProcess, type Ended } from '../support/cli-process.ts'
import { type EmbeddedCluster, startCluster } from '../support/cluster.ts'

const root = new URL('../../', import.meta.url).pathname
const directory = mkdtempSync(join(tmpdir(), 'pgsplit-cli-'))
const children = new Set<CliProcess>()
let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 })
  await cluster.primary.query('CREATE DATABASE triggered')
})

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
  await cluster?.stop()
})

async function pgsplit(args: readonly string[], input = '', env = {}): Promise<Ended> {
  const child = new CliProcess(args, input, env)
  children.add(child)
  const ended = await child.ended
  children.delete(child)
  return ended
}

function file(name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

const urls = () => [cluster.primary, ...cluster.replicas].map((node) => node.urlFor('postgres'))
const nodeFlags = () => ['--primary', urls()[0] ?? '', '--replica', urls()[1] ?? '']

describe('pgsplit as a process', () => {
  it('prints version and schema', async () => {
    expect(await pgsplit(['--version'])).toMatchObject({ code: 0, err: '' })
    const { code, out } = await pgsplit(['config', '--schema'])
    expect(code).toBe(0)
    expect(JSON.parse(out)).toHaveProperty('title', 'pgsplit')
  })

  it('tells a mistake in a file in one line with its place', async () => {
    const path = file('bad.yaml', 'clusters:\n  main:\n    primary: postgres://m@h\n    pol: {}\n')
    expect(await pgsplit(['check', '--config', path])).toEqual({
      code: 1,
      out: '',
      err: `pgsplit: clusters.main.pol: unknown option; did you mean pool? (${path}:4:5)\n`,
    })
  })

  it('tells a broken certificate in one line', async () => {
    const path = file('cert.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    const flags = [...nodeFlags(), '--tls-cert', path, '--tls-key', path]
    const { code, err } = await pgsplit(['serve', ...flags])
    expect(code).toBe(1)
    expect(err).toMatch(/^pgsplit: --tls-cert: .*\n$/)
  })

  it('does not mind when nobody reads its output to the end', async () => {
    const child = spawn(process.execPath, [join(root, 'src/cli.ts'), 'config'])
    child.stdout.destroy()
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect(code).toBe(0)
  })
})

describe('pgsplit check', () => {
  it('finds the nodes of a cluster well, one line each', async () => {
    const { code, out, err } = await pgsplit(['check', ...nodeFlags()])
    expect(err).toBe('')
    expect(code).toBe(0)
    const lines = out.trimEnd().split('\n')
    expect(lines).toHaveLength(3)
    expect(lines[0]).toMatch(
      /^ok {4}main {2}[\w.]+:\d+ {2}primary, PostgreSQL \d+(\.\d+)?, timeline 1$/,
    )
    expect(lines[1]).toMatch(/^ok {4}main {2}[\w.]+:\d+ {2}replica, .*(up to date|bytes behind)$/)
  })

  it('tells whom a replica would refuse that the primary lets in', async (context) => {
    const [replica] = cluster.replicas
    if (replica === undefined) throw new Error('unreachable: there is one')
    const write = async (text: string): Promise<void> => {
      await replica.writeFiles({ 'pg_hba.conf': text })
      await replica.reload()
    }
    await write(hbaText(['host shop web all reject', 'host all all 127.0.0.1/32 scram-sha-256']))
    try {
      const { code, out } = await pgsplit(['check', ...nodeFlags()])
      expect(code).toBe(1)
      const [primary, line] = out.split('\n')
      expect(primary).toMatch(/^ok/)
      expect(line).toMatch(
        /^FAIL {2}main {2}[\w.]+:\d+ {2}replica, .*refuses whom the primary's admits/,
      )
      expect(line).toContain('(user web at database shop)')
    } finally {
      await write(hbaText())
    }
    if (cluster.version < 17) context.skip()
    await cluster.primary.query(
      `CREATE TABLE logins (who name);
       CREATE FUNCTION note_login() RETURNS event_trigger LANGUAGE plpgsql AS
         $$BEGIN INSERT INTO logins VALUES (session_user); END$$;
       CREATE EVENT TRIGGER note_login ON login EXECUTE FUNCTION note_login()`,
      [],
      'triggered',
    )
    await cluster.catchUp()
    const { code, out } = await pgsplit(['check', ...nodeFlags()])
    expect(code).toBe(1)
    const [primary, line] = out.split('\n')
    expect(primary).toMatch(/^ok/)
    expect(line).toContain('log-ins at its database triggered fail in a log-in trigger (25006:')
    await cluster.primary.query('DROP DATABASE triggered', [], 'postgres')
    await cluster.catchUp()
    expect(await pgsplit(['check', ...nodeFlags()])).toMatchObject({ code: 0 })
  })

  it('takes passwords from the environment of a file', async () => {
    const url = new URL(urls()[0] ?? '')
    const password = decodeURIComponent(url.password)
    const text = [
      'clusters:',
      '  main:',
      `    primary: postgres://${url.username}:$\{PGSPLIT_PW}@${url.host}/postgres`,
    ].join('\n')
    const path = file('env.yaml', text)
    expect(await pgsplit(['check', '-c', path], '', { PGSPLIT_PW: password })).toMatchObject({
      code: 0,
    })
    expect((await pgsplit(['check', '-c', path], '', { PGSPLIT_PW: '' })).err).toContain(
      'the environment variable PGSPLIT_PW is not set or empty',
    )
    const wrong = await pgsplit(['check', '-c', path], '', { PGSPLIT_PW: 'not:it' })
    expect(wrong.code).toBe(1)
    expect(wrong.out).toContain('wrong user or password; check the connection URL')
    expect(wrong.out + wrong.err).not.toContain('not:it')
  })

  it('finds a node that is not there, and tells of roles that have moved on', async () => {
    const [primary = '', replica = ''] = urls()
    const gone = 'postgres://m@127.0.0.1:1'
    const { code, out, err } = await pgsplit([
      ...['check', '--primary', replica],
      ...['--replica', primary, '--replica', gone],
    ])
    expect(code).toBe(1)
    const lines = out.trimEnd().split('\n')
    expect(lines[0]).toMatch(/^warn .*the file has it as the primary, which another node is now/)
    expect(lines[1]).toMatch(/^warn .*is the primary now, the file has it under replicas/)
    expect(lines[2]).toMatch(
      /^FAIL {2}main {2}127.0.0.1:1 {2}connection refused; is PostgreSQL running/,
    )
    expect(err).toBe('pgsplit: nodes with problems: 1 of 3\n')
  })

  it('finds a pgsplit in the place of a server', async () => {
    const [primary = ''] = urls()
    const proxy = await startProxy(
      parseConfig({ listen: '127.0.0.1:0', clusters: { main: { primary } } }),
      createLogger({ level: 'silent', format: 'json' }),
    )
    const url = new URL(primary)
    url.port = String(proxy.addresses[0]?.port)
    const { code, out } = await pgsplit(['check', '--primary', url.href]).finally(() =>
      proxy.stop({ drain: false }),
    )
    expect(code).toBe(1)
    expect(out).toMatch(/^FAIL .*is a pgsplit, not a PostgreSQL server/)
  })

  it('finds that an ordinary role may not read verifiers, and accepts the function', async () => {
    const { out: sql } = await pgsplit(['config', '--lookup-sql'])
    const admin = new pg.Client(urls()[0] ?? '')
    await admin.connect()
    try {
      await admin.query("CREATE ROLE pgsplit_monitor LOGIN PASSWORD 'm'")
      const url = new URL(urls()[0] ?? '')
      url.username = 'pgsplit_monitor'
      url.password = 'm'
      const refused = await pgsplit(['check', '--primary', url.href])
      expect(refused.code).toBe(1)
      expect(refused.out).toContain(
        "role pgsplit_monitor can't read pg_authid, and there is no function",
      )
      const named = ['check', '--primary', url.href, '--lookup', 'pgsplit.role_secret']
      expect((await pgsplit(named)).out).toContain('there is no function pgsplit.role_secret(text)')
      await admin.query(sql)
      expect(await pgsplit(named)).toMatchObject({ code: 0 })
      expect(await pgsplit(['check', '--primary', url.href])).toMatchObject({ code: 0 })
    } finally {
      await admin.end()
    }
  })
})
