/**
 * Child of `bench/micro-floods.ts` and of tests: floods a pgsplit until it is told to stop, or is a pgsplit that tells
 * the longest turn of its event loop. What it does is in its first argument, JSON.
 */
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseConfig } from '../../src/config/parse-config.ts'
import { createLogger } from '../../src/log.ts'
import { startProxy } from '../../src/proxy.ts'
import { query, startupMessage } from '../../src/wire/frontend-messages.ts'
import { front } from './scripted-messages.ts'

export type FloodName =
  | 'Sync'
  | 'empty queries'
  | 'NOTICEs'
  | 'prepared names'
  | 'half-sent queries'
  | 'long queries'
  | 'long comments'
  | 'wrong cancels'
  | 'half log-ins'

export interface FloodJob {
  readonly what: FloodName
  readonly port: number
  readonly database: string
  readonly addresses: number
}

type Job = { readonly proxy: Record<string, unknown> } | { readonly flood: FloodJob }

/** What `longestTurns` has seen, ms. */
export interface Turns {
  readonly maxMs: number
  readonly p99Ms: number
  readonly longest: { readonly ms: number; readonly ranMs: number; readonly waitedMs: number }
}

/** What a pgsplit says of itself. */
export interface ProcessFacts {
  /** The longest turn of its loop since it was asked last. */
  readonly maxMs: number
  /** Resident memory now, and the most of it ever, bytes. */
  readonly rss: number
  readonly peakRss: number
  /** What its buffers hold, bytes. */
  readonly buffers: number
  /** What it has read, from sockets and files, bytes. */
  readonly bytesRead: number
}

let isStopped = false

const times = (message: Buffer, count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => message))

const once = (make: () => Buffer): (() => Buffer) => {
  let made: Buffer | null = null
  return () => {
    made ??= make()
    return made
  }
}
const longQuery = once(() => query(`SELECT ${'1 + '.repeat(1_000_000)}1 WHERE false`))
const longComment = once(() => query(`SELECT 1 /* ${'x'.repeat(4 * 1024 * 1024)} */`))

function open(job: FloodJob, i: number): Socket {
  const localAddress = job.addresses === 1 ? '127.0.0.2' : `127.0.1.${1 + (i % job.addresses)}`
  const socket = connect({ host: '127.0.0.1', port: job.port, localAddress, noDelay: true })
  socket.on('error', () => {})
  return socket
}

function logIn(job: FloodJob, i: number): Socket {
  const socket = open(job, i)
  socket.resume()
  socket.write(startupMessage(0, Object.entries({ user: 'postgres', database: job.database })))
  return socket
}

async function writeAll(socket: Socket, bytes: Buffer): Promise<void> {
  if (socket.destroyed || socket.write(bytes)) return
  await Promise.race([
    new Promise((resolve) => socket.once('drain', resolve)),
    new Promise((resolve) => socket.once('close', resolve)),
  ])
}

/** What one client says again and again; the whole flood of all together is that of the issue. */
async function talk(job: FloodJob, i: number): Promise<void> {
  const { addresses } = job
  const socket = logIn(job, i)
  await sleep(200)
  if (i === 0) setTimeout(() => process.send?.('floods'), 200)
  const share = (all: number): number => Math.max(1, Math.ceil(all / addresses))
  while (!isStopped && !socket.destroyed) {
    switch (job.what) {
      case 'Sync':
        await writeAll(socket, times(front.sync, share(400_000)))
        break
      case 'empty queries':
        await writeAll(socket, times(query(''), share(200_000)))
        break
      case 'NOTICEs': {
        const heard = new Promise((resolve) => {
          socket.on('data', (chunk: Buffer) => {
            if (chunk.subarray(-6).equals(Buffer.from('Z\0\0\0\x05I'))) resolve(null)
          })
          socket.once('close', resolve)
        })
        await writeAll(socket, query(`SELECT say_notices(${share(200_000)})`))
        await heard
        socket.removeAllListeners('data').resume()
        break
      }
      case 'prepared names': {
        const names = share(60_000)
        for (let n = 0; n < names; n++) {
          await writeAll(
            socket,
            Buffer.concat([front.parse(`p${n}`, `SELECT ${n % 50}`), front.sync]),
          )
        }
        await writeAll(socket, query('DEALLOCATE ALL'))
        break
      }
      case 'long queries':
        await writeAll(socket, longQuery())
        await sleep(20)
        break
      case 'long comments':
        // As long, and nothing to do for a server.
        await writeAll(socket, longComment())
        await sleep(20)
        break
      default:
        return
    }
    await sleep(0)
  }
  socket.destroy()
}

async function strangers(job: FloodJob, first: Buffer): Promise<void> {
  let open_ = 0
  setTimeout(() => process.send?.('floods'), 200)
  for (let i = 0; !isStopped; i++) {
    while (open_ > 200 && !isStopped) await sleep(1)
    open_++
    const socket = open(job, i)
    socket.write(first)
    socket.resume()
    socket.once('close', () => open_--)
    setTimeout(() => socket.destroy(), 3_000).unref()
    if (i % 20 === 0) await sleep(1)
  }
}

async function halfSent(job: FloodJob): Promise<void> {
  const sockets = Array.from({ length: Math.max(60, job.addresses) }, (_, i) => logIn(job, i))
  await sleep(300)
  const whole = 15 * 1024 * 1024
  const header = Buffer.alloc(5, 'Q')
  header.writeInt32BE(whole, 1)
  const piece = Buffer.alloc(256 * 1024, 'SELECT 1; ')
  setTimeout(() => process.send?.('floods'), 200)
  await Promise.all(
    sockets.map(async (socket) => {
      await writeAll(socket, header)
      for (let sent = 0; sent < whole - 2 * piece.length && !isStopped; sent += piece.length) {
        await writeAll(socket, piece)
      }
    }),
  )
  while (!isStopped) await sleep(50)
  for (const socket of sockets) socket.destroy()
}

async function flood(job: FloodJob): Promise<void> {
  process.on('message', () => {
    isStopped = true
    setTimeout(() => process.exit(0), 500)
  })
  if (job.what === 'half-sent queries') return await halfSent(job)
  if (job.what === 'wrong cancels') {
    const cancel = Buffer.alloc(16)
    cancel.writeInt32BE(16, 0)
    cancel.writeInt32BE(80_877_102, 4)
    cancel.writeInt32BE(0x41_0000, 8)
    return await strangers(job, cancel)
  }
  if (job.what === 'half log-ins') {
    return await strangers(job, startupMessage(0, Object.entries({ user: 'postgres' })))
  }
  await Promise.all(Array.from({ length: job.addresses }, (_, i) => talk(job, i)))
}

/** The most that was ever resident, bytes. getrusage() would count what the parent had before its fork. */
function peakRss(): number {
  const status = readFileSync('/proc/self/status', 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}

/** What the kernel says of this thread: ms that it ran, and that it waited for a processor. */
function schedule(): { ranMs: number; waitedMs: number } {
  const [ran = 0, waited = 0] = readFileSync('/proc/thread-self/schedstat', 'utf8')
    .split(' ')
    .map(Number)
  return { ranMs: ran / 1e6, waitedMs: waited / 1e6 }
}

/**
 * The loop's turns for so long: their CPU time, which unlike their length doesn't count what else the
 * machine does, and what the longest was made of. The loop never sleeps meanwhile.
 */
async function longestTurns(ms: number): Promise<Turns> {
  const turns: number[] = []
  const end = performance.now() + ms
  let before = schedule()
  let longest = { ms: 0, ranMs: 0, waitedMs: 0 }
  for (let at = performance.now(); at < end; ) {
    await new Promise((resolve) => setImmediate(resolve))
    const now = schedule()
    const then = performance.now()
    const ranMs = now.ranMs - before.ranMs
    turns.push(ranMs)
    if (then - at > longest.ms) {
      longest = { ms: then - at, ranMs, waitedMs: now.waitedMs - before.waitedMs }
    }
    before = now
    at = then
  }
  turns.sort((a, b) => a - b)
  const p99Ms = turns[Math.floor(turns.length * 0.99)] ?? 0
  return { maxMs: turns.at(-1) ?? 0, p99Ms, longest }
}

async function serve(settings: Record<string, unknown>): Promise<void> {
  const logger = createLogger({ level: 'silent', format: 'json' }, { write: () => {} })
  const proxy = await startProxy(parseConfig(settings), logger)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  process.on('message', (message) => {
    if (message === 'turns') void longestTurns(1_000).then((turns) => process.send?.(turns))
    else if (message === 'stop') void proxy.stop({ drain: false }).then(() => process.exit(0))
    else {
      globalThis.gc?.()
      const { rss, arrayBuffers } = process.memoryUsage()
      const facts: ProcessFacts = {
        maxMs: delay.max / 1e6,
        rss,
        peakRss: peakRss(),
        buffers: arrayBuffers,
        bytesRead: Number(/^rchar: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]),
      }
      process.send?.(facts)
      delay.reset()
    }
  })
  process.send?.({ port: proxy.addresses[0]?.port })
}

process.on('disconnect', () => process.exit(0))
const job = JSON.parse(process.argv[2] ?? '{}') as Job
if ('proxy' in job) await serve(job.proxy)
else await flood(job.flood)
