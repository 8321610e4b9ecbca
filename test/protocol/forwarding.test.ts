import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import {
  bindComplete,
  commandComplete,
  dataRow,
  noticeResponse,
  parseComplete,
  readyForQuery,
  rowDescription,
} from '../../src/wire/backend-messages.ts'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { back, front, message } from '../support/scripted-messages.ts'
import type { ScriptedServer } from '../support/scripted-server.ts'

let cluster: ScriptedCluster | null = null
afterEach(() => cluster?.close())

const value = fc.oneof(
  fc.constant(null),
  fc.string({ maxLength: 20 }),
  fc.integer({ min: 200, max: 100_000 }).map((size) => 'x'.repeat(size)),
)
const row = fc.array(value, { maxLength: 4 }).map(dataRow)
const notice = fc
  .string({ maxLength: 300 })
  .map((text) => noticeResponse('NOTICE', { sqlstate: '00000', message: text }))
const wide = fc
  .integer({ min: 1, max: 40 })
  .map((count) =>
    rowDescription(Array.from({ length: count }, (_, i) => ({ name: `column${i}`, typeOid: 25 }))),
  )
const result = fc
  .tuple(
    wide,
    fc.array(fc.oneof(row, row, notice), { maxLength: 12 }),
    fc.string({ maxLength: 20 }),
  )
  .map(([columns, rows, tag]) => Buffer.concat([columns, ...rows, commandComplete(tag)]))
const copyOut = fc
  .array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 8 })
  .map((sizes) =>
    Buffer.concat([
      back.copyOutResponse,
      ...sizes.map((size) => back.copyData(Buffer.alloc(size, 0x61))),
      back.copyDone,
      commandComplete('COPY'),
    ]),
  )
const failure = fc
  .string({ maxLength: 400 })
  .map((text) => back.error({ sqlstate: '22012', message: text, routine: 'x' }))
/** As an answer without SQLSTATE (CVE-2026-6666). */
const bareFailure = fc.constant(message('E', (w) => w.byte(0x4d).string('no code').byte(0)))
const answer = fc
  .tuple(
    fc.array(fc.oneof(result, copyOut, notice), { maxLength: 3 }),
    fc.oneof(result, failure, bareFailure),
  )
  .map(([results, last]) => Buffer.concat([...results, last, readyForQuery(0x49)]))

const cuts = fc.array(fc.integer({ min: 1, max: 3_000 }), { maxLength: 30 })

/** Writes in pieces of these sizes, each in a turn of its own; the rest whole. */
async function write(
  server: ScriptedServer,
  bytes: Buffer,
  sizes: readonly number[],
): Promise<void> {
  let at = 0
  for (const size of sizes) {
    if (at >= bytes.length) return
    server.say(bytes.subarray(at, at + size))
    at += size
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (at < bytes.length) server.say(bytes.subarray(at))
}

async function forwarded(
  request: Buffer,
  bytes: Buffer,
  sizes: readonly number[],
): Promise<Buffer> {
  cluster = new ScriptedCluster()
  try {
    const client = cluster.connect()
    cluster.on(/./, () => ({ hang: true }))
    client.send(request)
    await expect.poll(() => cluster?.servers[0]?.isPaused, { interval: 1 }).toBe(true)
    const [server] = cluster.servers
    await write(server as ScriptedServer, bytes, sizes)
    await client.ready()
    expect(cluster.inUse).toBe(0)
    return Buffer.concat(client.chunks)
  } finally {
    cluster.close()
  }
}

describe('what a server answers', () => {
  it('reaches the client byte for byte, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(answer, result, cuts, fc.boolean(), async (whole, first, sizes, isRead) => {
        const sql = isRead ? 'SELECT node()' : 'INSERT INTO items VALUES (1)'
        // A read whose answer begins with an error may be run again instead.
        const bytes = isRead ? Buffer.concat([first, whole]) : whole
        expect((await forwarded(front.query(sql), bytes, sizes)).equals(bytes)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it('to an extended query reaches the client byte for byte, too', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 8 }), cuts, async (rows, sizes) => {
        const rest = Buffer.concat([...rows, commandComplete('SELECT 1'), readyForQuery(0x49)])
        const got = await forwarded(
          Buffer.concat([front.run('INSERT INTO items VALUES (1)'), front.sync]),
          rest,
          sizes,
        )
        expect(got.equals(Buffer.concat([parseComplete, bindComplete, rest]))).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  it('streams a row of 40 MB without holding it', async () => {
    cluster = new ScriptedCluster()
    const client = cluster.connect()
    const size = 40_000_000
    cluster.on('SELECT rows(1)', () => ({ hang: true }))
    client.send(front.query('SELECT rows(1)'))
    await expect.poll(() => cluster?.servers[0]?.isPaused).toBe(true)
    let received = 0
    client.duplex.removeAllListeners('data')
    client.duplex.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    const [server] = cluster.servers as [ScriptedServer]
    const header = Buffer.alloc(5)
    header.write('D')
    header.writeInt32BE(size + 4, 1)
    server.say(header)
    const chunk = Buffer.alloc(1_000_000)
    for (let i = 0; i < size / chunk.length; i++) {
      server.say(chunk)
      if (server.duplex.writableNeedDrain) {
        await new Promise((resolve) => server.duplex.once('drain', resolve))
      }
      expect(client.session.link.pendingBytes).toBeLessThan(2_500_000)
    }
    const tail = Buffer.concat([commandComplete('SELECT 1'), readyForQuery(0x49)])
    server.say(tail)
    await expect.poll(() => received).toBe(size + 5 + tail.length)
  })
})
