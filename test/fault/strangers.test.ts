import { readFileSync } from 'node:fs'
import net from 'node:net'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startupMessage } from '../../src/wire/frontend-messages.ts'
import { CliProcess } from '../support/cli-process.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { message, RawClient } from '../support/raw-client.ts'

const megabyte = 1024 * 1024

let cluster: EmbeddedCluster
let child: CliProcess
let port: number

/** Resident memory of pgsplit's own process, bytes. */
function resident(): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}

async function client(): Promise<pg.Client> {
  const { password, database } = cluster
  const made = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database })
  made.on('error', () => {})
  await made.connect()
  return made
}

function raw(): Promise<RawClient> {
  const { password, database } = cluster
  return RawClient.logIn({ port, user: 'postgres', password, database })
}

/** Highest growth of pgsplit's memory over `from` while `work` runs. */
async function growthWhile(from: number, work: () => Promise<void>): Promise<number> {
  let highest = from
  const sampler = setInterval(() => {
    highest = Math.max(highest, resident())
  }, 20)
  try {
    await work()
  } finally {
    clearInterval(sampler)
  }
  return Math.max(highest, resident()) - from
}

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop', replicas: 1 })
  const replica = cluster.replicas[0]?.url ?? ''
  child = new CliProcess([
    'serve',
    ...['--primary', cluster.primary.url, '--replica', replica, '--listen', '127.0.0.1:0'],
  ])
  await waitFor('serve to listen', () => child.log.includes('"event":"listening"'))
  port = Number(/pgsplit listens on 127\.0\.0\.1:(\d+)/.exec(child.log)?.[1])
})
afterAll(async () => {
  child?.kill('SIGKILL')
  await child?.ended
  await cluster?.stop()
})

describe.skipIf(process.platform !== 'linux')('a client that does not read (needs /proc)', () => {
  it.each(['COPY (%) TO STDOUT', '%'])('makes no memory grow: %s', async (frame) => {
    const rows = 300_000
    const select = `SELECT repeat('x', 1000) FROM generate_series(1, ${rows})`
    const reader = await raw()
    await reader.query('SELECT 1')
    const growth = await growthWhile(resident(), async () => {
      reader.pause()
      reader.send(message('Q', frame.replace('%', select)))
      const other = await client()
      // Others are served meanwhile.
      for (let i = 0; i < 200; i++) {
        await other.query('SELECT 1')
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      await other.end()
      reader.drop()
      reader.resume()
      await reader.until('C', 60_000)
    })
    expect(reader.droppedBytes).toBeGreaterThan(rows * 1000)
    reader.end()
    expect(growth).toBeLessThan(32 * megabyte)
  })

  it('and a server that does not read makes none grow either', async () => {
    const writer = await raw()
    await writer.query('CREATE TABLE slow (line text)')
    writer.send(message('Q', 'COPY slow FROM STDIN'))
    await writer.until('G')
    const line = message('d', Buffer.from(`${'x'.repeat(65_535)}\n`))
    cluster.primary.freeze()
    const growth = await growthWhile(resident(), async () => {
      for (let i = 0; i < 3_000; i++) writer.send(line)
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      cluster.primary.thaw()
      writer.send(message('c'))
      await writer.until('Z', 60_000)
    })
    writer.end()
    expect(growth).toBeLessThan(32 * megabyte)
    await waitFor('the primary to be up again', async () => {
      const db = await client()
      const isUp = await db.query('DROP TABLE IF EXISTS slow').then(
        () => true,
        () => false,
      )
      await db.end()
      return isUp
    })
  })
})

describe('strangers', () => {
  it('2,000 that never log in harm nobody', async () => {
    const known = await client()
    const strangers: net.Socket[] = []
    for (let i = 0; i < 2_000; i++) {
      const socket = net.connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.resume()
      if (i % 2 === 0) socket.write(startupMessage(0, [['user', `stranger${i}`]]))
      strangers.push(socket)
      if (i % 100 === 99) {
        expect((await known.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
      }
    }
    const late = await waitFor('a late client to log in', () => client().catch(() => null))
    expect((await late.query('SELECT 2 AS two')).rows).toEqual([{ two: 2 }])
    for (const socket of strangers) socket.destroy()
    await late.end()
    await known.end()
  })

  it('who send random bytes harm nobody', async () => {
    const known = await client()
    let state = 42
    const random = (): number => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
      return state >>> 8
    }
    for (let i = 0; i < 300; i++) {
      const bytes = Buffer.from(Array.from({ length: 1 + (random() % 300) }, () => random() & 255))
      // Half of them begin like a start-up packet of the right length.
      if (i % 2 === 0 && bytes.length > 8) {
        bytes.writeInt32BE(bytes.length, 0)
        bytes.writeInt32BE(i % 4 === 0 ? 0x30000 : 80877103, 4)
      }
      const socket = net.connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.end(bytes)
      if (i % 50 === 0) expect((await known.query('SELECT 1')).rowCount).toBe(1)
    }
    for (let i = 0; i < 30; i++) {
      const inside = await raw()
      const bytes = Buffer.from(Array.from({ length: 1 + (random() % 300) }, () => random() & 255))
      inside.send(bytes)
      inside.end()
    }
    const { rows } = await known.query('SELECT 3 AS three')
    expect(rows).toEqual([{ three: 3 }])
    await known.end()
    expect(child.log).not.toContain('"event":"client_failed"')
  })
})
