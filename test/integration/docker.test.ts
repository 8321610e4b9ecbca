import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../src/embedded/free-port.ts'
import { ComposeProject, containerScript, docker, whyNoCompose } from '../support/docker.ts'
import { waitFor } from '../support/wait-for.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const image = 'pgsplit:test'
const services = ['primary', 'replica1', 'replica2', 'pgsplit'] as const
const missing = whyNoCompose()
if (missing !== null) console.log(`=== SKIPPED: tests of docker/: ${missing}`)

let project: ComposeProject
let port: number

const connect = async (): Promise<pg.Client> => {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: 'app',
    password: 'of-app',
    database: 'app',
  })
  await client.connect()
  return client
}

const healthOf = (service: string) => project.inspect(service, '{{.State.Health.Status}}')

async function waitUntilHealthy(): Promise<void> {
  for (const service of services) {
    const isHealthy = async () => (await healthOf(service)) === 'healthy'
    await waitFor(`${service} to be healthy`, isHealthy, 90_000, 250)
  }
}

/** Runs JavaScript in pgsplit's container and gives what it prints. */
const inside = async (script: string): Promise<string> =>
  docker('exec', await project.container('pgsplit'), 'node', '-e', script)

beforeAll(async () => {
  if (missing !== null) return
  const bases = [...(await containerScript('node-image')).matchAll(/(\w+_IMAGE)=(\S+)/g)]
  const args = bases.flatMap(([, name, value]) => ['--build-arg', `${name}=${value}`])
  const dockerfile = `${root}/docker/Dockerfile`
  await docker('build', '-q', '--network', 'host', ...args, '-f', dockerfile, '-t', image, root)
  port = await freePort()
  project = new ComposeProject(`pgsplit-test-${process.pid}`, {
    POSTGRES_IMAGE: (await containerScript('postgres-image')).trim(),
    PGSPLIT_IMAGE: image,
    PGSPLIT_PORT: String(port),
    POSTGRES_PASSWORD: 'of-postgres',
    REPLICATION_PASSWORD: "o'f \\replicator",
    MONITOR_PASSWORD: "o'f @/monitor",
    APP_PASSWORD: 'of-app',
  })
  await project.run('up', '-d', '--no-build')
  await waitUntilHealthy()
}, 600_000)

afterAll(async () => {
  await project?.run('down', '-v', '-t', '1')
})

describe.skipIf(missing !== null)('docker/', () => {
  it('runs pgsplit as a user without rights on a root filesystem that it cannot write', async () => {
    const facts = await inside(`
      const { readFileSync, writeFileSync } = require('node:fs')
      const status = readFileSync('/proc/1/status', 'utf8')
      const of = (name) => new RegExp('^' + name + ':\\\\s*(\\\\S+)', 'm').exec(status)[1]
      let code = ''
      try { writeFileSync('/x', '') } catch (error) { code = error.code }
      console.log(JSON.stringify([of('Uid'), of('CapEff'), of('CapBnd'), of('NoNewPrivs'), code]))
    `)
    expect(JSON.parse(facts)).toEqual(['10001', '0'.repeat(16), '0'.repeat(16), '1', 'EROFS'])
    for (const service of services) {
      expect(await project.inspect(service, '{{.HostConfig.ReadonlyRootfs}}')).toBe('true')
    }
  })

  it('has what production needs and no npm', async () => {
    const lock: { packages: Record<string, { dev?: true; peer?: true }> } = JSON.parse(
      readFileSync(`${root}/package-lock.json`, 'utf8'),
    )
    const needed = Object.entries(lock.packages)
      .filter(([path, { dev, peer }]) => path !== '' && dev !== true && peer !== true)
      .map(([path]) => path.replace('node_modules/', ''))
    const [found, hasNpm] = JSON.parse(
      await inside(`
        const { existsSync, readdirSync } = require('node:fs')
        const names = readdirSync('node_modules').filter((name) => !name.startsWith('.'))
          .flatMap((name) => name.startsWith('@')
            ? readdirSync('node_modules/' + name).map((inner) => name + '/' + inner) : [name])
        const bins = process.env.PATH.split(':')
        console.log(JSON.stringify([names, bins.some((dir) => existsSync(dir + '/npm'))]))
      `),
    )
    expect(found.sort()).toEqual(needed.sort())
    expect(hasNpm).toBe(false)
  })

  it('sends writes to the primary and reads to the replicas', async () => {
    const [writer, reader] = [await connect(), await connect()]
    try {
      await writer.query('CREATE TABLE notes (id int PRIMARY KEY, text text)')
      await writer.query(`INSERT INTO notes VALUES (1, 'kept')`)
      const ranOn = async (marker: string): Promise<string[]> => {
        const ran: string[] = []
        for (const service of services.slice(0, 3)) {
          const sql = `SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'app' AND query LIKE '%${marker}%'`
          if ((await project.ask(service, sql)) === 't') ran.push(service)
        }
        return ran
      }
      // pgsplit's own question may follow on the same connection while the table is new to it
      const wrote = await waitFor("a write that is its connection's last statement", async () => {
        const marker = `write ${Math.random()}`
        await writer.query(`UPDATE notes SET text = 'kept' /* ${marker} */`)
        const ran = await ranOn(marker)
        return ran.length === 0 ? null : ran
      })
      expect(wrote).toEqual(['primary'])
      const where = await waitFor('a read on a replica alone', async () => {
        const marker = `read ${Math.random()}`
        const { rows } = await reader.query(`SELECT text FROM notes /* ${marker} */`)
        const ran = await ranOn(marker)
        return ran.includes('primary') ? null : { rows, ran }
      })
      expect(where.rows).toEqual([{ text: 'kept' }])
      expect(where.ran).toEqual([expect.stringMatching(/^replica[12]$/)])
      expect(await project.ask('primary', 'SELECT count(*) FROM pg_stat_replication')).toBe('2')
    } finally {
      await writer.end()
      await reader.end()
    }
  })

  it('calls a pgsplit that nobody can reach unhealthy', async () => {
    const probe = docker(
      'run',
      '--rm',
      '--network',
      'none',
      '--entrypoint',
      'node',
      image,
      'health.mjs',
    )
    await expect(probe).rejects.toThrow('ended with 1')
  })

  it('is stopped when what runs has finished', async () => {
    const client = await connect()
    client.on('error', () => {})
    const running = client.query('SELECT 42 AS answer, pg_sleep(2)')
    await waitFor('the query to run', async () => {
      const sql = `SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT 42%'`
      const counts = await Promise.all(services.slice(0, 3).map((name) => project.ask(name, sql)))
      return counts.includes('1')
    })
    const stopped = docker('stop', '-t', '40', await project.container('pgsplit'))
    expect((await running).rows).toMatchObject([{ answer: 42 }])
    await stopped
    expect(await project.inspect('pgsplit', '{{.State.ExitCode}}')).toBe('0')
    await client.end().catch(() => {})
  })

  it('keeps data and replicas over a stop of all', async () => {
    await project.run('stop')
    for (const service of services) {
      expect([service, await project.inspect(service, '{{.State.ExitCode}}')]).toEqual([
        service,
        '0',
      ])
    }
    await project.run('up', '-d', '--no-build')
    await waitUntilHealthy()
    const client = await connect()
    expect((await client.query('SELECT text FROM notes')).rows).toEqual([{ text: 'kept' }])
    await client.end()
    await waitFor('both replicas to stream', async () => {
      return (await project.ask('primary', 'SELECT count(*) FROM pg_stat_replication')) === '2'
    })
  })
})
