import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type ReplicatedPostgres,
  ReplicatedPostgresContainer,
  startEmbedded,
} from '../../src/testing/index.ts'
import { testProvider, waitFor } from '../support/cluster.ts'

const image = process.env.PGSPLIT_TEST_IMAGE ?? 'postgres:17'
const initSql = 'CREATE TABLE item (id int); INSERT INTO item SELECT generate_series(1, 3)'
const login = { database: 'my shop', username: 'o app', password: `p'w $x $${'{HOME}'}/ä` }

const start: Readonly<Record<string, () => Promise<ReplicatedPostgres>>> = {
  embedded: () =>
    startEmbedded({ replicas: 2, ...login, initSql, settings: { work_mem: '5MB' }, lag: '1ms' }),
  containers: () =>
    new ReplicatedPostgresContainer(image)
      .withReplicas(2)
      .withDatabase(login.database)
      .withUsername(login.username)
      .withPassword(login.password)
      .withSettings({ work_mem: '5MB' })
      .withLag('1ms')
      .withInitSql(initSql)
      .start(),
}

async function count(uri: string): Promise<number> {
  const client = new pg.Client({ connectionString: uri })
  client.on('error', () => {})
  await client.connect()
  try {
    const { rows } = await client.query('SELECT count(*)::int AS n FROM item')
    return rows[0].n
  } finally {
    await client.end()
  }
}

describe(`pgsplit/testing on ${testProvider} (the other one: PGSPLIT_TEST_PROVIDER)`, () => {
  let postgres: ReplicatedPostgres
  /** Who was added since the start of the cluster, so that counts can be told. */
  let rows = 3

  beforeAll(async () => {
    postgres = await (start[testProvider] as () => Promise<ReplicatedPostgres>)()
  })
  afterAll(async () => {
    await postgres?.stop()
  })

  async function insert(uri = postgres.uri): Promise<void> {
    const client = new pg.Client({ connectionString: uri })
    client.on('error', () => {})
    await client.connect()
    await client.query('INSERT INTO item VALUES (0)')
    await client.end()
    rows++
  }

  /** Reads through pgsplit that replicas answered since `use` began, by pgsplit's own count. */
  async function readsOf(name: string): Promise<number> {
    return postgres.nodes().find((node) => node.name === name)?.reads ?? 0
  }

  it('gives connection strings of servers that are what they are called', async () => {
    expect(postgres.provider).toBe(testProvider)
    expect(postgres.replicaUris).toHaveLength(2)
    const [own] = await postgres.sql(
      "SELECT pg_is_in_recovery() AS standby, current_user AS who, current_database() AS db, current_setting('work_mem') AS mem",
    )
    expect(own).toEqual({ standby: false, who: login.username, db: login.database, mem: '5MB' })
    for (const n of [0, 1]) {
      const [row] = await postgres.replicaSql(
        n,
        'SELECT pg_is_in_recovery() AS standby, inet_server_port() AS port',
      )
      expect(row).toEqual({
        standby: true,
        port: Number(new URL(postgres.replicaUris[n] ?? '').port),
      })
    }
    expect(postgres.version).toBeGreaterThanOrEqual(13)
    expect(await postgres.sql('SELECT $1::int + 1 AS n', [1])).toEqual([{ n: 2 }])
  })

  it('has pgsplit in front, which reads from replicas and writes to the primary', async () => {
    expect(await count(postgres.uri)).toBe(rows)
    expect((await readsOf('replica1')) + (await readsOf('replica2'))).toBeGreaterThan(0)
    await insert()
    expect(await count(postgres.primaryUri)).toBe(rows)
    const other = new URL(postgres.uriFor({ database: 'postgres', username: 'me', password: 'x' }))
    expect([other.pathname, other.username, other.host]).toEqual([
      '/postgres',
      'me',
      new URL(postgres.uri).host,
    ])
  })

  it('waits for replay', async () => {
    await insert()
    await postgres.waitForReplay()
    for (const uri of postgres.replicaUris) expect(await count(uri)).toBe(rows)
  })

  it('pauses replay of one replica, and resumes it', async () => {
    await postgres.pauseReplay(0)
    await insert()
    await expect(postgres.waitForReplay(500)).rejects.toThrow(/replica1 to replay/)
    expect(await count(postgres.replicaUris[0] ?? '')).toBe(rows - 1)
    expect(await count(postgres.replicaUris[1] ?? '')).toBe(rows)
    await postgres.resumeReplay(0)
    await postgres.waitForReplay()
    expect(await count(postgres.replicaUris[0] ?? '')).toBe(rows)
  })

  it('lets a replica lag', async () => {
    await postgres.setLag('1h', 1)
    await insert()
    await waitFor('replica 0', async () => (await count(postgres.replicaUris[0] ?? '')) === rows)
    expect(await count(postgres.replicaUris[1] ?? '')).toBe(rows - 1)
    await postgres.setLag(0)
    await postgres.waitForReplay()
    await expect(postgres.setLag('soon')).rejects.toThrow(/give milliseconds/)
  })

  it.each(['stopReplica', 'killReplica', 'freezeReplica'] as const)(
    'goes on reading after %s, and reads from the replica again when it is back',
    async (how) => {
      await insert()
      await postgres.waitForReplay()
      await postgres[how](0)
      for (let i = 0; i < 5; i++) expect(await count(postgres.uri)).toBe(rows)
      await (how === 'freezeReplica' ? postgres.thawReplica(0) : postgres.startReplica(0))
      await postgres.waitForReplay()
      const before = await readsOf('replica1')
      await waitFor('reads on it', async () => {
        await count(postgres.uri)
        return (await readsOf('replica1')) > before
      })
    },
  )

  it('writes again after a restart of the primary', async () => {
    await postgres.restartPrimary()
    await insert()
    await postgres.killPrimary()
    await postgres.startPrimary()
    await insert()
    await postgres.waitForReplay()
  })

  it('writes to a replica that was promoted, and takes the old primary back', async () => {
    await expect(postgres.rejoin()).rejects.toThrow(/promote a replica first/)
    const [first, second] = postgres.replicaUris
    const old = postgres.primaryUri
    await postgres.waitForReplay()
    await postgres.killPrimary()
    await postgres.promote(0)
    expect([postgres.primaryUri, ...postgres.replicaUris]).toEqual([first, second])
    await insert()
    expect(await count(postgres.primaryUri)).toBe(rows)
    await postgres.rejoin()
    expect(postgres.replicaUris).toEqual([second, old])
    await postgres.waitForReplay()
    expect(await count(old)).toBe(rows)
  })

  it('switches over from a primary that runs without losing a commit', async () => {
    await insert()
    await postgres.promote(1)
    expect(await count(postgres.primaryUri)).toBe(rows)
    await insert()
  })

  it('says which replicas there are when asked for another one', async () => {
    await expect(postgres.stopReplica(7)).rejects.toThrow(
      'there is no replica 7; they are numbered 0 to 0, as in replicaUris',
    )
  })

  it('leaves nobody behind', async () => {
    const uris = [postgres.uri, postgres.primaryUri, ...postgres.replicaUris]
    await postgres.stop()
    await postgres.stop()
    for (const uri of uris) await expect(count(uri)).rejects.toThrow(/ECONNREFUSED/)
  })
})

describe('without pgsplit and without replicas', () => {
  it('is a PostgreSQL, and says so when asked for more', async () => {
    await using postgres =
      testProvider === 'containers'
        ? await new ReplicatedPostgresContainer(image)
            .withReplicas(0)
            .withPgsplit(false)
            .withoutReplicationSlots()
            .start()
        : await startEmbedded({ replicas: 0, pgsplit: false })
    expect(await postgres.sql('SELECT 1 AS one')).toEqual([{ one: 1 }])
    expect(() => postgres.uri).toThrow(/use primaryUri/)
    await expect(postgres.promote(0)).rejects.toThrow('there is no replica 0; there are none')
  })
})

describe('a process that is killed', () => {
  it('leaves no server behind', async () => {
    const program = new URL('../support/testing-child.ts', import.meta.url).pathname
    const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] })
    const uris = await firstLine(child)
    expect(uris).toHaveLength(2)
    child.kill('SIGKILL')
    for (const uri of uris) {
      await waitFor('nobody to answer', () =>
        count(uri).then(
          () => false,
          (error: Error) => error.message.includes('ECONNREFUSED'),
        ),
      )
    }
  })
})

async function firstLine(child: ChildProcess): Promise<readonly string[]> {
  if (child.stdout === null) throw new Error('no output')
  for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line)
  throw new Error('it said nothing')
}

describe('mistakes are told with the way out', () => {
  it.each([
    [{ replicas: 16 }, /replicas is 16; give a number from 0 to 15/],
    [{ replicas: 1.5 }, /replicas is 1.5/],
    [{ password: '' }, /password is empty/],
    [{ lag: 'soon' }, /the lag "soon" is none/],
    [{ binDir: '/nowhere' }, /\/nowhere has no initdb; give the bin directory/],
    [{ pgsplit: { routing: { maxLug: '1s' } } }, /maxLug/],
    [{ initSql: 'SELEC 1', replicas: 0 }, /syntax error/],
  ])('%j', async (options, message) => {
    await expect(startEmbedded(options)).rejects.toThrow(message)
  })
})
