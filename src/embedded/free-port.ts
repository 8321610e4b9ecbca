import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { EmbeddedError } from './embedded-error.ts'

// Below the range from which Linux (32768) and macOS (49152) take the ports of outgoing
// connections: otherwise any of them could hold the port of a server that is stopped for a while.
const LOWEST = 15_000
const BEYOND = 32_000
const ATTEMPTS = 100

const handedOut = new Set<number>()

/** A port of 127.0.0.1 that nobody listens on and that this process has not handed out before. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(LOWEST, BEYOND)
    if (handedOut.has(port) || !(await isFree(port))) continue
    handedOut.add(port)
    return port
  }
  throw new EmbeddedError(
    `no free port on 127.0.0.1 in ${ATTEMPTS} attempts between ${LOWEST} and ${BEYOND - 1}; stop some servers`,
  )
}

/** Whether nobody listens on the port of 127.0.0.1. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
