import { connect, type Socket } from 'node:net'
import { connectTls } from '../../net/tls-upgrade.ts'
import type { NodeTarget } from '../driver-pool.ts'

/** SSLRequest (protocol-message-formats): its length, and 1234 and 5679 in place of a version. */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

/** A socket to the node, with TLS where the target says so. Rejects with the system's error. */
export async function dialNode(
  { host, port, ssl, isDirectTls, keepAliveIdleMs }: NodeTarget,
  timeoutMs: number,
): Promise<Socket> {
  const endMs = performance.now() + timeoutMs
  const socket = host.startsWith('/')
    ? connect({ path: `${host}/.s.PGSQL.${port}` })
    : connect({
        host,
        port,
        noDelay: true,
        keepAlive: keepAliveIdleMs !== null,
        keepAliveInitialDelay: keepAliveIdleMs ?? 60_000,
      })
  const timer = setTimeout(() => {
    socket.destroy(
      Object.assign(new Error(`${host}:${port} did not answer in ${timeoutMs} ms`), {
        code: 'CONNECT_TIMEOUT',
      }),
    )
  }, timeoutMs)
  try {
    await happens(socket, 'connect')
    if (ssl === false) return socket
    if (!isDirectTls) await askForTls(socket, `${host}:${port}`)
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    clearTimeout(timer)
  }
  const leftMs = Math.max(1, endMs - performance.now())
  return (await connectTls(socket, ssl, leftMs)).socket
}

async function askForTls(socket: Socket, where: string): Promise<void> {
  socket.write(sslRequest)
  const answer = await happens(socket, 'data')
  // What comes unencrypted behind the answer may be somebody else's (CVE-2021-23222).
  if (answer?.length !== 1 || answer[0] !== 0x53) {
    throw new Error(`The server at ${where} does not support SSL connections`)
  }
}

function happens(socket: Socket, event: 'connect' | 'data'): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      socket.off(event, done).off('error', fail).off('close', close)
      if (event === 'data') socket.pause()
    }
    const done = (chunk?: Buffer): void => {
      settle()
      resolve(chunk)
    }
    const fail = (error: Error): void => {
      settle()
      reject(error)
    }
    const close = (): void =>
      fail(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }))
    socket.on(event, done).on('error', fail).on('close', close)
  })
}
