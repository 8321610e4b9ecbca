import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificate, writeCertificate } from '../support/certificates.ts'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { proxySettings, startProxyWith, type TestProxy } from '../support/proxy.ts'
import { ReadLoad } from '../support/read-load.ts'
import { waitFor } from '../support/wait-for.ts'
import { WriteLoad } from '../support/write-load.ts'

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query('CREATE TABLE journal (client int, n int)', [], 'shop')
  await cluster.catchUp()
}, 120_000)

afterEach(async () => {
  await proxy?.stop()
})

afterAll(async () => {
  await cluster?.stop()
})

type Settings = Record<string, unknown>
type Overrides = Parameters<typeof proxySettings>[1]

/** pgsplit with settings that a reload reads anew: `next` replaces them. */
async function start(overrides: Overrides = {}): Promise<{ next: (settings: Settings) => void }> {
  let settings: Settings = proxySettings(cluster, overrides)
  proxy = await startProxyWith(cluster, settings, () => settings)
  return {
    next: (given) => {
      settings = given
    },
  }
}

/** Runs one command in the admin database: its rows, tag and notices. */
async function admin(command: string) {
  const notices: string[] = []
  const client = await proxy.client({ database: 'pgsplit' })
  client.on('notice', ({ message }) => notices.push(message ?? ''))
  try {
    const { rows, command: tag } = await client.query<Record<string, string>>(command)
    return { rows, tag, notices }
  } finally {
    await client.end()
  }
}

const nodeRow = async (name: string) =>
  (await admin('SHOW NODES')).rows.find(({ node }) => node === name)

async function journal(): Promise<Set<string>> {
  const rows = await cluster.primary.query('SELECT client, n FROM journal', [], 'shop')
  return new Set(rows.map(({ client, n }) => `${client}/${n}`))
}

const isPaused = () => proxy.proxy.clusters[0]?.isPaused === true
const held = () => proxy.proxy.clusters[0]?.counters.held ?? 0
const codeOf = (error: unknown) => (error as pg.DatabaseError).code

/** Sends a CancelRequest for what the client runs now, as Ctrl-C in psql does. */
async function cancelQuery(client: pg.Client): Promise<void> {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
  const message = Buffer.alloc(16)
  for (const [i, value] of [16, 80_877_102, processID, secretKey].entries()) {
    message.writeInt32BE(value, i * 4)
  }
  const socket = connect(proxy.port, '127.0.0.1')
  socket.end(message)
  await once(socket, 'close')
}

/** What the promise has come to, when it has. */
function watched<T>(promise: Promise<T>): { state: 'waits' | 'done'; promise: Promise<T> } {
  const watch = { state: 'waits' as 'waits' | 'done', promise }
  const end = (): void => {
    watch.state = 'done'
  }
  promise.then(end, end)
  return watch
}

describe('PAUSE and RESUME', () => {
  it('let what runs end, hold back what would begin, and let it go on', async () => {
    await start()
    const [open, writer, reader, pinned] = await Promise.all([
      proxy.client(),
      proxy.client(),
      proxy.client(),
      proxy.client(),
    ])
    await pinned.query('CREATE TEMP TABLE mine AS SELECT 1 AS one')
    await open.query('BEGIN')
    await open.query('INSERT INTO journal VALUES (100, 1)')
    const pause = watched(admin('PAUSE main'))
    await waitFor('the pause to begin', isPaused)
    const waiting = [
      writer.query('INSERT INTO journal VALUES (100, 3)'),
      reader.query('SELECT 1 AS one'),
      pinned.query('SELECT one FROM mine'),
    ].map(watched)
    const late = watched(proxy.client())
    await waitFor('the requests to be held', () => held() === 3)
    // A transaction goes on to its end, and only then the pause is complete.
    await open.query('INSERT INTO journal VALUES (100, 2)')
    expect(pause.state).toBe('waits')
    await open.query('COMMIT')
    expect((await pause.promise).tag).toBe('PAUSE')
    expect(waiting.map(({ state }) => state)).toEqual(['waits', 'waits', 'waits'])
    expect(late.state).toBe('waits')
    const idle = (await admin('SHOW POOLS')).rows.map((row) => Number(row.sv_idle))
    expect(Math.max(...idle)).toBe(0)
    const { rows: states } = await admin('SHOW STATE')
    expect(states).toContainEqual({ key: 'paused', value: 'yes' })
    expect((await admin('RESUME')).tag).toBe('RESUME')
    const [, read, mine] = await Promise.all(waiting.map(({ promise }) => promise))
    expect(read?.rows).toEqual([{ one: 1 }])
    expect(mine?.rows).toEqual([{ one: 1 }])
    expect((await journal()).has('100/3')).toBe(true)
    const clients = [open, writer, reader, pinned, await late.promise]
    await Promise.all(clients.map((client) => client.end()))
  })

  it('tell who holds them up when it takes too long, and let everybody go on', async () => {
    await start({ failover: { pauseTimeout: '100ms' } })
    const open = await proxy.client()
    await open.query('BEGIN')
    await open.query('INSERT INTO journal VALUES (101, 1)')
    const error = await admin('PAUSE').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: '57014' })
    expect((error as pg.DatabaseError).detail).toMatch(/^cl\d+ of postgres at shop is in a trans/)
    expect(isPaused()).toBe(false)
    await open.query('COMMIT')
    // And a request that has waited so long is told; nothing of it was done.
    await admin('PAUSE')
    const late = await open.query('INSERT INTO journal VALUES (101, 2)').catch(codeOf)
    expect(late).toBe('57P03')
    await admin('RESUME')
    await open.query('INSERT INTO journal VALUES (101, 3)')
    expect([...(await journal())].filter((row) => row.startsWith('101/'))).toEqual([
      '101/1',
      '101/3',
    ])
    await open.end()
  })

  it('are taken back when the administrator cancels or leaves', async () => {
    await start()
    const open = await proxy.client()
    await open.query('BEGIN')
    await open.query('INSERT INTO journal VALUES (102, 1)')
    const cancelled = await proxy.client({ database: 'pgsplit' })
    const pause = cancelled.query('PAUSE').catch(codeOf)
    await waitFor('the first pause to begin', isPaused)
    await cancelQuery(cancelled)
    expect(await pause).toBe('57014')
    expect(isPaused()).toBe(false)
    await cancelled.end()
    const operator = await proxy.client({ database: 'pgsplit' })
    operator.query('PAUSE').catch(() => {})
    await waitFor('the pause to begin', isPaused)
    await operator.end()
    await waitFor('the pause to end', () => !isPaused())
    const patient = await proxy.raw({ database: 'pgsplit' })
    void patient.query('PAUSE').catch(() => {})
    await waitFor('the next pause to begin', isPaused)
    patient.end()
    await waitFor('the next pause to end', () => !isPaused())
    await open.query('COMMIT')
    await open.end()
  })

  it('hold a switchover from its clients: no error, nothing lost, only a delay', async () => {
    await start({ pool: { size: 6 } })
    const load = await WriteLoad.start(proxy, 8)
    const readers = await ReadLoad.start(proxy, 4, 'SELECT count(*) FROM journal')
    await waitFor('writes', () => load.acknowledged.length > 100)
    await admin('PAUSE')
    const before = load.acknowledged.length
    await cluster.catchUp()
    const [heir] = cluster.replicas
    if (heir === undefined) throw new Error('no replica')
    const old = cluster.primary
    await old.stop('fast')
    await cluster.failover(heir)
    await admin('RESUME')
    await waitFor('writes at the new primary', () => load.acknowledged.length > before + 100)
    await load.stop()
    await readers.stop()
    expect([...load.refused]).toEqual([])
    expect(load.lost).toBe(0)
    expect(readers.errors).toEqual([])
    const rows = await journal()
    expect(load.acknowledged.filter((row) => !rows.has(row))).toEqual([])
    await cluster.rejoin(old)
  }, 120_000)
})

describe('DRAIN and BAN', () => {
  it('send nothing new to a node, let its transactions end, and bring it back', async () => {
    await start()
    const reader = await proxy.client()
    const [r1] = cluster.replicas
    await reader.query('BEGIN READ ONLY')
    const at = await reader.query(
      "SELECT inet_server_port() AS port, current_setting('port') AS own",
    )
    const name = Number(at.rows[0].own) === r1?.port ? 'r1' : 'r2'
    expect((await admin(`DRAIN ${name}`)).tag).toBe('DRAIN')
    expect(await nodeRow(name)).toMatchObject({ state: 'draining' })
    await reader.query('SELECT count(*) FROM journal')
    await reader.query('COMMIT')
    const requests = (await nodeRow(name))?.requests
    for (let i = 0; i < 20; i++) await reader.query('SELECT count(*) FROM journal')
    expect((await nodeRow(name))?.requests).toBe(requests)
    await admin(`UNDRAIN ${name}`)
    await waitFor('reads there', async () => {
      await Promise.all(Array.from({ length: 4 }, () => reader.query('SELECT 1')))
      return (await nodeRow(name))?.requests !== requests
    })
    expect((await admin('BAN R1 FOR 10m')).tag).toBe('BAN')
    expect(await nodeRow('r1')).toMatchObject({ state: 'banned' })
    await admin('UNBAN main.r1')
    await waitFor('r1 to be up', async () => (await nodeRow('r1'))?.state === 'up')
    await admin('BAN r1 FOR 50ms')
    await waitFor('the ban to be over', async () => (await nodeRow('r1'))?.state === 'up')
    await reader.end()
  })

  it('hold writes while the primary is drained', async () => {
    await start()
    const writer = await proxy.client()
    await writer.query('INSERT INTO journal VALUES (103, 1)')
    await admin('DRAIN primary')
    const write = watched(writer.query('INSERT INTO journal VALUES (103, 2)'))
    await waitFor('the write to be held', () => held() === 1)
    await admin('UNDRAIN primary')
    await write.promise
    await writer.end()
  })

  it('name what they do not know', async () => {
    await start()
    const refusals = ['DRAIN r9', 'PAUSE other', 'KILL 999999', 'BAN r1 FOR ever'].map((command) =>
      admin(command).catch((error: pg.DatabaseError) => [error.code, error.hint]),
    )
    expect(await Promise.all(refusals)).toEqual([
      ['42704', 'There is primary, r1, r2.'],
      ['42704', 'There is main.'],
      ['42704', 'SHOW CLIENTS lists them.'],
      [
        '22023',
        'It takes a duration in whole milliseconds, such as 500ms, 10s, 1m or 1h; more than 0.',
      ],
    ])
  })

  it('KILL ends a client, and what it left is cleaned', async () => {
    await start()
    const victim = await proxy.client()
    await victim.query('BEGIN')
    await victim.query('INSERT INTO journal VALUES (104, 1)')
    const [client] = (await admin('SHOW CLIENTS')).rows
    const ended = new Promise((resolve) => victim.once('error', resolve))
    await admin(`KILL ${client?.id}`)
    expect(codeOf(await ended)).toBe('57P01')
    await waitFor('its transaction to be gone', async () => {
      const rows = await cluster.primary.query(
        "SELECT FROM pg_stat_activity WHERE datname = 'shop' AND state LIKE 'idle in%'",
      )
      return rows.length === 0
    })
    expect((await journal()).has('104/1')).toBe(false)
  })
})

describe('RELOAD', () => {
  it('changes what can be changed under load, without a client error', async () => {
    const { next } = await start({ pool: { size: 8 } })
    const writes = await WriteLoad.start(proxy, 4)
    const reads = await ReadLoad.start(proxy, 8, 'SELECT count(*) FROM journal')
    const main = { pool: { size: 3 }, routing: { balancer: 'round-robin', maxLag: '30s' } }
    next(proxySettings(cluster, { ...main, limits: { maxClients: 77 } }))
    const { tag, notices } = await admin('RELOAD')
    expect(tag).toBe('RELOAD')
    expect(notices[0]).toContain('clusters.main.pool.size')
    // Without r2, with it again, and then with other weights.
    const without = proxySettings(cluster, main)
    const section = (without.clusters as Record<string, { replicas: unknown[] }>).main
    const replicas = section?.replicas.splice(1)
    next(without)
    await admin('RELOAD')
    await waitFor('r2 to be gone', async () => (await nodeRow('r2')) === undefined)
    section?.replicas.push(...(replicas ?? []))
    await admin('RELOAD')
    await waitFor('r2 to be back', async () => (await nodeRow('r2'))?.state === 'up')
    await waitFor('reads at r2', async () => Number((await nodeRow('r2'))?.requests) > 20)
    const pools = (await admin('SHOW POOLS')).rows
    await waitFor('the pools to shrink', async () => {
      const { rows } = await admin('SHOW SERVERS')
      return pools.every(({ node }) => rows.filter((row) => row.node === node).length <= 3)
    })
    await writes.stop()
    await reads.stop()
    expect([...writes.refused]).toEqual([])
    expect(writes.lost).toBe(0)
    expect(reads.errors).toEqual([])
  }, 60_000)

  it('changes nothing when the file is wrong, and says where', async () => {
    const { next } = await start()
    const before = (await admin('SHOW CONFIG')).rows
    next({ ...proxySettings(cluster), limits: { maxClients: -1 } })
    const error = await admin('RELOAD').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'F0000' })
    expect((error as Error).message).toMatch(/limits\.maxClients/)
    expect((await admin('SHOW CONFIG')).rows).toEqual(before)
    expect(proxy.log.join()).toContain('reload_failed')
    // What is found wrong only in use, too: a certificate that isn't there.
    next({ ...proxySettings(cluster), tls: { cert: '/nowhere.pem', key: '/nowhere.pem' } })
    expect(await admin('RELOAD').catch(codeOf)).toBe('F0000')
    expect((await admin('SHOW CONFIG')).rows).toEqual(before)
  })

  it('reads certificates again, and serves those who are connected on', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pgsplit-operator-'))
    const write = (commonName: string) => {
      return writeCertificate(directory, 'server', makeCertificate({ commonName }))
    }
    const { certFile, keyFile } = write('before')
    const { next } = await start()
    const plain = await proxy.client()
    next({ ...proxySettings(cluster), tls: { cert: certFile, key: keyFile } })
    const shown = async (): Promise<string | undefined> => {
      const client = await proxy.client({}, { ssl: { rejectUnauthorized: false } })
      const { connection } = client as unknown as { connection: { stream: TLSSocket } }
      const name = connection.stream.getPeerCertificate().subject.CN
      await client.end()
      return String(name)
    }
    await admin('RELOAD')
    expect(await shown()).toBe('before')
    write('after')
    // No option has changed, but what the file holds.
    expect((await admin('RELOAD')).notices).toEqual(['nothing has changed'])
    expect(await shown()).toBe('after')
    await plain.query('SELECT 1')
    await plain.end()
    await rm(directory, { recursive: true })
  })

  it('gives nodes other names, also to the primary, without an error under load', async () => {
    const { next } = await start()
    const writes = await WriteLoad.start(proxy, 4)
    const reads = await ReadLoad.start(proxy, 4, 'SELECT count(*) FROM journal')
    const settings = proxySettings(cluster)
    Object.assign((settings.clusters as Record<string, object>).main ?? {}, {
      primary: { url: cluster.primary.url, name: 'north' },
      replicas: cluster.replicas.map(({ url }, i) => ({ url, name: `south${i}`, weight: 3 })),
    })
    next(settings)
    await admin('RELOAD')
    await waitFor('the old names to be gone', async () => {
      const names = (await admin('SHOW NODES')).rows.map(({ node }) => node)
      return names.join() === 'north,south0,south1'
    })
    const before = writes.acknowledged.length
    await waitFor('more writes', () => writes.acknowledged.length > before + 20)
    expect(await nodeRow('south1')).toMatchObject({ state: 'up', weight: 3 })
    await writes.stop()
    await reads.stop()
    expect([...writes.refused]).toEqual([])
    expect(reads.errors).toEqual([])
  }, 60_000)

  it('says what needs a restart', async () => {
    const { next } = await start()
    next({ ...proxySettings(cluster), listen: ['127.0.0.1:1'] })
    expect((await admin('RELOAD')).notices).toContain('needs a restart: listen')
  })

  it('lets new users in, and those that are gone no more', async () => {
    const auth = (name: string) => ({
      lookup: 'off',
      users: [
        { name, password: 'guess me', serverUser: 'postgres', serverPassword: cluster.password },
      ],
    })
    const { next } = await start({ auth: auth('ann'), admin: { users: ['postgres'] } })
    const ann = { user: 'ann', password: 'guess me' }
    const bob = { user: 'bob', password: 'guess me' }
    const kept = await proxy.client(ann)
    next(proxySettings(cluster, { auth: auth('bob'), admin: { users: ['postgres'] } }))
    proxy.proxy.reload('signal')
    await proxy.with((client) => client.query('SELECT 1'), bob)
    expect(await proxy.client(ann).catch(codeOf)).toBe('28P01')
    await kept.query('SELECT 1')
    await kept.end()
  })
})

describe('SHUTDOWN', () => {
  it('WAIT lets transactions end and takes nobody new', async () => {
    await start()
    const open = await proxy.client()
    await open.query('BEGIN')
    await open.query('INSERT INTO journal VALUES (105, 1)')
    const operator = await proxy.client({ database: 'pgsplit' })
    expect((await operator.query('SHUTDOWN WAIT')).command).toBe('SHUTDOWN')
    await waitFor('the listener to be closed', () =>
      proxy.client().then(
        () => false,
        () => true,
      ),
    )
    await open.query('INSERT INTO journal VALUES (105, 2)')
    const ended = new Promise((resolve) => open.once('error', resolve))
    await open.query('COMMIT')
    expect(codeOf(await ended)).toBe('57P01')
    await proxy.proxy.stopped
    expect((await journal()).has('105/2')).toBe(true)
  })

  it('NOW waits for nobody', async () => {
    await start()
    const open = await proxy.client()
    await open.query('BEGIN')
    await open.query('INSERT INTO journal VALUES (106, 1)')
    await admin('SHUTDOWN NOW')
    await proxy.proxy.stopped
    expect((await journal()).has('106/1')).toBe(false)
  })
})
