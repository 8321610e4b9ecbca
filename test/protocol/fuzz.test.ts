import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { commandComplete, dataRow, readyForQuery } from '../../src/wire/backend-messages.ts'
import { ScriptedCluster, type ScriptedOptions } from '../support/scripted-cluster.ts'
import { back, front, message } from '../support/scripted-messages.ts'
import type { ScriptedServer } from '../support/scripted-server.ts'

let cluster: ScriptedCluster | null = null
afterEach(() => cluster?.close())

const texts = [
  'SELECT node()',
  'SELECT rows(3)',
  'INSERT INTO items VALUES (1)',
  'BEGIN',
  'BEGIN READ ONLY',
  'COMMIT',
  'ROLLBACK',
  "SELECT fail('22012')",
  "SELECT fail('40001')",
  'syntax error',
  'COPY items FROM STDIN',
  'COPY (SELECT node()) TO STDOUT',
  "SET my.x = 'a'",
  'RESET my.x',
  'DISCARD ALL',
  'DEALLOCATE ALL',
  'LISTEN news',
  'UNLISTEN *',
  'SELECT pg_advisory_lock(1)',
  'SHOW pgsplit.last_route',
  "SET pgsplit.route = 'primary'",
  'BEGIN; SELECT node()',
  'SELECT node(); COMMIT',
  '',
]
const text = fc.constantFrom(...texts)
const name = fc.constantFrom('', 'a', 'b')

const valid = fc.oneof(
  { arbitrary: text.map(front.query), weight: 4 },
  { arbitrary: fc.tuple(name, text).map(([n, t]) => front.parse(n, t)), weight: 3 },
  { arbitrary: fc.tuple(name, name).map(([n, p]) => front.bind(n, p)), weight: 3 },
  { arbitrary: fc.tuple(name, fc.nat(2)).map(([p, max]) => front.execute(p, max)), weight: 3 },
  { arbitrary: text.map(front.run), weight: 3 },
  fc.tuple(fc.constantFrom('S' as const, 'P' as const), name).map(([k, n]) => front.describe(k, n)),
  fc.tuple(fc.constantFrom('S' as const, 'P' as const), name).map(([k, n]) => front.close(k, n)),
  { arbitrary: fc.constant(front.sync), weight: 4 },
  fc.constant(front.flush),
  fc.constant(front.copyData('1\n')),
  fc.constant(front.copyData('bad\n')),
  fc.constant(front.copyDone),
  fc.constant(front.copyFail('no')),
  fc.constant(front.functionCall(1)),
)

const broken = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  // A frame of a known type with any body.
  fc
    .tuple(fc.constantFrom(...'QPBDECSHdcfFXp'), fc.uint8Array({ maxLength: 20 }))
    .map(([type, body]) => message(type, (w) => w.bytes(body))),
  // A valid message with a wrong length.
  fc.tuple(valid, fc.integer({ min: -5, max: 300 })).map(([bytes, off]) => {
    const copy = Buffer.from(bytes)
    copy.writeInt32BE(copy.readInt32BE(1) + off, 1)
    return copy
  }),
  // One that ends too early.
  fc.tuple(valid, fc.nat(10)).map(([bytes, cut]) => bytes.subarray(0, bytes.length - cut)),
)

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Ends whatever COPY, segment or transaction is open, and asks something. */
const wayOut = Buffer.concat([
  front.copyFail('end'),
  front.sync,
  front.sync,
  front.query('ROLLBACK'),
  front.query('DISCARD ALL'),
  front.query('SELECT rows(1)'),
])

async function talk(
  messages: readonly Buffer[],
  sizes: readonly number[],
  options: ScriptedOptions = {},
  /** Servers that die between two pieces, by the number of the piece. */
  deaths: readonly number[] = [],
): Promise<void> {
  cluster = new ScriptedCluster(options)
  try {
    const bystander = cluster.connect()
    const client = cluster.connect()
    const bytes = Buffer.concat(messages)
    let at = 0
    for (const [i, size] of sizes.entries()) {
      client.send(bytes.subarray(at, at + size))
      at += size
      await turn()
      if (deaths.includes(i)) cluster.servers.at(-1)?.die()
    }
    if (at < bytes.length) client.send(bytes.subarray(at))
    if (deaths.length > 0) cluster.servers.at(0)?.die()
    for (let i = 0; i < 20; i++) await turn()
    client.send(wayOut)
    await client.until('proper end', (got) => {
      const isAnswered = got.slice(-4).join(' · ').endsWith('D 0 · C SELECT 1 · Z I')
      return isAnswered || client.isClosed || client.session.isGone
    })
    for (const error of internalErrors(client.frames)) throw new Error(error)
    // Who sends a Query behind COPY before the server says that it copies breaks the protocol.
    const complaints = cluster.servers.map(({ complaint }) => complaint ?? 'during COPY')
    expect(complaints.filter((complaint) => !complaint.endsWith('during COPY'))).toEqual([])
    expect(await bystander.query('SELECT node()')).toMatch(
      /^T · D (r1|primary) · C SELECT 1 · Z I$/,
    )
    client.vanish()
    bystander.vanish()
    await expect.poll(() => cluster?.inUse, { interval: 1 }).toBe(0)
    expect(cluster.load.inFlight.every((count) => count === 0)).toBe(true)
  } finally {
    cluster.close()
  }
}

function internalErrors(frames: readonly { type: string; body: Buffer }[]): string[] {
  return frames
    .filter(({ type }) => type === 'E')
    .map(({ body }) => body.toString())
    .filter((body) => /internal error|is not a function|undefined|released twice/.test(body))
}

const sizes = fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 20 })

describe('a logged-in session', () => {
  it('answers any order of valid messages properly', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(valid, { maxLength: 14 }), sizes, (messages, cuts) =>
        talk(messages, cuts),
      ),
      { numRuns: 150, endOnFailure: true },
    )
  }, 30_000)

  it('does so with one connection per node, and in poolMode session', async () => {
    const poolMode = fc.constantFrom('session', 'transaction' as const)
    await fc.assert(
      fc.asyncProperty(
        fc.array(valid, { maxLength: 14 }),
        sizes,
        poolMode,
        (messages, cuts, mode) =>
          talk(messages, cuts, {
            // The bystander and the client each keep one in poolMode session.
            pool: { size: mode === 'session' ? 2 : 1 },
            limits: { poolMode: mode },
          }),
      ),
      { numRuns: 150, endOnFailure: true },
    )
  }, 30_000)

  it('does so while its servers die', async () => {
    const deaths = fc.array(fc.nat(10), { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(fc.array(valid, { maxLength: 14 }), sizes, deaths, (messages, cuts, when) =>
        talk(messages, cuts, {}, when),
      ),
      { numRuns: 150, endOnFailure: true },
    )
  }, 30_000)

  it('answers or closes on broken messages, and harms nobody else', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(valid, { maxLength: 6 }),
        fc.array(broken, { minLength: 1, maxLength: 3 }),
        sizes,
        async (before, messages, cuts) => {
          // What is cut short swallows what follows: the end of the stream is the way out then.
          cluster = new ScriptedCluster()
          try {
            const bystander = cluster.connect()
            const client = cluster.connect()
            const bytes = Buffer.concat([...before, ...messages])
            let at = 0
            for (const size of cuts) {
              client.send(bytes.subarray(at, at + size))
              at += size
              await turn()
            }
            if (at < bytes.length) client.send(bytes.subarray(at))
            for (let i = 0; i < 20; i++) await turn()
            for (const error of internalErrors(client.frames)) throw new Error(error)
            expect(await bystander.query('SELECT node()')).toContain('C SELECT 1 · Z I')
            client.vanish()
            await expect.poll(() => cluster?.inUse, { interval: 1 }).toBe(0)
          } finally {
            cluster.close()
          }
        },
      ),
      { numRuns: 150, endOnFailure: true },
    )
  }, 30_000)
})

const said = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  fc
    .tuple(fc.constantFrom(...'RKSZCDETIHGWdcstn123ANVv'), fc.uint8Array({ maxLength: 30 }))
    .map(([type, body]) => message(type, (w) => w.bytes(body))),
  fc.constantFrom(
    readyForQuery(0x49),
    readyForQuery(0x54),
    dataRow(['1']),
    commandComplete('SELECT 1'),
    back.copyInResponse,
    back.copyOutResponse,
    back.copyDone,
    back.portalSuspended,
    back.error({ sqlstate: '57P01', message: 'bye', severity: 'FATAL' }),
    Buffer.from([0x44, 0x7f, 0xff, 0xff, 0xff]),
    Buffer.from([0x5a, 0, 0, 0, 4]),
  ),
)

describe('a server that breaks the protocol', () => {
  it.each([
    ['a simple query', front.query('SELECT rows(1)')],
    ['a write', front.query('INSERT INTO items VALUES (1)')],
    ['an extended query', Buffer.concat([front.run('SELECT rows(1)'), front.sync])],
    [
      'a named statement',
      Buffer.concat([
        front.parse('a', 'SELECT rows(1)'),
        front.bind('a'),
        front.execute(),
        front.close('S', 'a'),
        front.sync,
      ]),
    ],
  ])(
    'in the answer to %s ends in an answer or an error, never in silence',
    async (_, request) => {
      await fc.assert(
        fc.asyncProperty(fc.array(said, { maxLength: 6 }), async (answers) => {
          cluster = new ScriptedCluster()
          try {
            const client = cluster.connect()
            const other = cluster.connect()
            let isFirst = true
            cluster.on(/rows|INSERT/, () => {
              if (!isFirst) return null
              isFirst = false
              return { hang: true }
            })
            client.send(request)
            await expect.poll(() => cluster?.servers[0]?.isPaused, { interval: 1 }).toBe(true)
            const server = cluster.servers[0] as ScriptedServer
            for (const bytes of answers) server.say(bytes)
            for (let i = 0; i < 5; i++) await turn()
            server.die()
            // If the server said that it copies in, it is for the client to end the segment.
            client.send(front.copyFail('end'), front.sync)
            await client.until(
              'end of the request',
              (got) => got.some((line) => line.startsWith('Z')) || client.isClosed,
            )
            for (const error of internalErrors(client.frames)) throw new Error(error)
            expect(await other.query('SELECT node()')).toContain('C SELECT 1 · Z I')
            client.vanish()
            await expect.poll(() => cluster?.inUse, { interval: 1 }).toBe(0)
          } finally {
            cluster.close()
          }
        }),
        { numRuns: 60, endOnFailure: true },
      )
    },
    30_000,
  )

  it('while nobody asks loses its connection and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(said, { minLength: 1, maxLength: 4 }), async (bytes) => {
        cluster = new ScriptedCluster()
        try {
          const client = cluster.connect()
          await client.query('SELECT node()')
          cluster.server('r1').say(...bytes)
          for (let i = 0; i < 5; i++) await turn()
          cluster.server('r1').die()
          expect(await client.query('SELECT node()')).toMatch(/C SELECT 1 · Z I$/)
        } catch (error) {
          // It had been closed before we could.
          if (!String(error).includes('0 servers')) throw error
        } finally {
          cluster.close()
        }
      }),
      { numRuns: 60, endOnFailure: true },
    )
  }, 30_000)
})
