import net from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { LoginGate } from '../../src/client/login-gate.ts'
import { acceptClient } from '../../src/client/startup.ts'
import { freePort } from '../../src/embedded/free-port.ts'
import { Link } from '../../src/net/link.ts'
import { startupMessage } from '../../src/wire/frontend-messages.ts'
import { acceptOptions } from '../support/login-relay.ts'
import { waitFor } from '../support/wait-for.ts'

/** Not in the range that the system gives to outgoing connections. */
let port = 0
const count = 10_000
const gate = new LoginGate(2_000)
const kinds = new Map<string, number>()
let server: net.Server
const clients: net.Socket[] = []

beforeAll(async () => {
  port = await freePort()
  const options = acceptOptions({ gate, authTimeoutMs: 3_000 })
  server = net.createServer({ pauseOnConnect: true }, (socket) => {
    void acceptClient(Link.accept(socket), options).then((outcome) => {
      const kind = outcome.kind === 'refused' ? outcome.error.message : outcome.kind
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', 1_000, resolve))
})
afterAll(() => {
  for (const client of clients) client.destroy()
  server.close()
})

it('10,000 clients that never log in are cut off, and one that does comes through', async () => {
  global.gc?.()
  const before = process.memoryUsage().rss
  let closed = 0
  for (let i = 0; i < count; i += 500) {
    await Promise.all(
      Array.from(
        { length: 500 },
        (_, n) =>
          new Promise<void>((resolve) => {
            // Half of them say nothing; the others ask to start and then say nothing.
            const client = net.connect(port, '127.0.0.1', () => {
              if (n % 2 === 0) client.write(startupMessage(0, [['user', `user${i + n}`]]))
              resolve()
            })
            client.on('error', () => resolve())
            client.on('close', () => closed++)
            client.resume()
            clients.push(client)
          }),
      ),
    )
    expect(gate.waiting).toBeLessThanOrEqual(2_000)
  }
  const own = Link.of(net.connect(port, '127.0.0.1'))
  const heard = new Promise<string>((resolve) => {
    own.onChunk = (chunk) => {
      resolve(chunk.toString('latin1'))
      return chunk.length
    }
  })
  own.write(startupMessage(0, [['user', 'somebody']]))
  expect(await heard).toContain('SCRAM-SHA-256')
  // Both ends of every connection live in this process.
  expect((process.memoryUsage().rss - before) / count).toBeLessThan(40_000)
  await waitFor('all of them to be cut off', () => closed === count && gate.waiting === 0, 30_000)
  expect([...kinds.keys()].sort()).toEqual([
    'log-in took longer than 3000 ms',
    'too many clients that have not logged in yet',
  ])
})
