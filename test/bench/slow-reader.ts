import { setTimeout as sleep } from 'node:timers/promises'
import type { Contestant } from './contestant.ts'
import { residentBytes } from './process-tree.ts'
import { RawClient } from './raw-client.ts'

/** The reader does nothing at all for this long, with the whole answer on its way. */
const stallMs = 2000
const sampleMs = 50
const timeoutMs = 300_000

export interface SlowRead {
  readonly what: 'COPY' | 'SELECT'
  readonly bytes: number
  /** Highest resident size meanwhile, less the size before the first stream. */
  readonly growthBytes: number
}

/**
 * Streams `rows` rows of 1,000 bytes through a contestant to a client that stalls and then reads
 * at `bytesPerSecond`, by COPY and by SELECT. Throws when the answer does not arrive whole.
 */
export async function measureSlowReader(
  contestant: Contestant,
  rows: number,
  bytesPerSecond: number,
): Promise<readonly SlowRead[]> {
  const { pid } = contestant
  if (pid === null) return []
  const select = `SELECT repeat('x', 1000) FROM generate_series(1, ${rows})`
  // One base for both: what the first has left behind must not hide what the second needs.
  const baseBytes = residentBytes(pid)
  const copy = await stream(
    contestant,
    pid,
    'COPY',
    `COPY (${select}) TO STDOUT`,
    rows,
    bytesPerSecond,
  )
  const rest = await stream(contestant, pid, 'SELECT', select, rows, bytesPerSecond)
  return [copy, rest].map(({ what, bytes, highestBytes }) => {
    return { what, bytes, growthBytes: highestBytes - baseBytes }
  })
}

async function stream(
  contestant: Contestant,
  pid: number,
  what: SlowRead['what'],
  text: string,
  rows: number,
  bytesPerSecond: number,
): Promise<{ what: SlowRead['what']; bytes: number; highestBytes: number }> {
  const client = await RawClient.connect(contestant.port, contestant.database('simple'))
  let highestBytes = 0
  const sampler = setInterval(() => {
    highestBytes = Math.max(highestBytes, residentBytes(pid))
  }, sampleMs)
  try {
    client.socket.pause()
    client.query(text)
    await sleep(stallMs)
    const { bytes, tail } = await readSlowly(client, bytesPerSecond)
    const end = `${what} ${rows}\0Z\0\0\0\x05I`
    if (!tail.endsWith(end))
      throw new Error(`the ${what} of ${rows} rows ended after ${bytes} bytes`)
    return { what, bytes, highestBytes }
  } finally {
    clearInterval(sampler)
    client.end()
  }
}

/** Reads at the given rate up to ReadyForQuery or the end of the connection. */
function readSlowly(
  { socket }: RawClient,
  bytesPerSecond: number,
): Promise<{ readonly bytes: number; readonly tail: string }> {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    let bytes = 0
    let tail = ''
    const settle = () => {
      clearTimeout(timer)
      resolve({ bytes, tail })
    }
    const timer = setTimeout(() => {
      reject(new Error(`only ${bytes} bytes within ${timeoutMs} ms`))
    }, timeoutMs)
    socket.on('close', settle)
    socket.on('data', (chunk) => {
      bytes += chunk.length
      tail = (tail + chunk.toString('latin1', Math.max(0, chunk.length - 64))).slice(-64)
      if (tail.endsWith('Z\0\0\0\x05I')) return settle()
      const aheadMs = (bytes / bytesPerSecond) * 1000 - (performance.now() - start)
      if (aheadMs < 5) return
      socket.pause()
      setTimeout(() => socket.resume(), aheadMs)
    })
    socket.resume()
  })
}
