import http from 'node:http'
import net from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { runProgram } from '../support/run-program.ts'

const program = new URL('../../docker/health.mjs', import.meta.url).pathname
const servers: net.Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

async function listen(server: net.Server): Promise<string> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return String(typeof address === 'object' ? address?.port : '')
}

/** Answers an SSLRequest as pgsplit does without TLS. */
const accepting = (): Promise<string> =>
  listen(net.createServer((socket) => socket.once('data', () => socket.end('N'))))

const door = (status: number): Promise<string> =>
  listen(http.createServer((_, response) => response.writeHead(status).end()))

/** A port at which nobody listens. */
async function closed(): Promise<string> {
  const port = await accepting()
  await new Promise((resolve) => servers.pop()?.close(resolve))
  return port
}

const exitCode = async (port: string, httpPort: string): Promise<number | null> => {
  const env = { PGSPLIT_PORT: port, PGSPLIT_HTTP_PORT: httpPort }
  return (await runProgram(process.execPath, [program], env)).code
}

describe('the health check of the image', () => {
  it('is green where clients are accepted and there is no HTTP door to ask', async () => {
    expect(await exitCode(await accepting(), await closed())).toBe(0)
  })

  it('is green where the door says that clients can be served', async () => {
    expect(await exitCode(await accepting(), await door(200))).toBe(0)
  })

  it('is red while the door says that nobody can be served', async () => {
    expect(await exitCode(await accepting(), await door(503))).toBe(1)
  })

  it('is red where the door is open and no client is accepted yet', async () => {
    expect(await exitCode(await closed(), await door(200))).toBe(1)
  })
})
