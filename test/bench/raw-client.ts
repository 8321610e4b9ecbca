import { connect, type Socket } from 'node:net'
import { decodeErrorFields } from '../../src/wire/error-fields.ts'
import { query, startupMessage, terminate } from '../../src/wire/frontend-messages.ts'

const timeoutMs = 10_000

/** A client that costs next to nothing: a socket that has logged in (trust only) and idles. */
export class RawClient {
  readonly socket: Socket

  private constructor(socket: Socket) {
    this.socket = socket
  }

  /** Logs in as postgres; throws what the server's ErrorResponse says, or after 10 s. */
  static async connect(port: number, database: string): Promise<RawClient> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    socket.write(startupMessage(0, Object.entries({ user: 'postgres', database })))
    try {
      await untilReady(socket)
    } catch (error) {
      socket.destroy()
      throw error
    }
    // A connection that breaks later shows in what is measured, not as an exception.
    socket.on('error', () => {})
    return new RawClient(socket)
  }

  /** Sends a simple query; the answer is the caller's to read from `socket`. */
  query(text: string): void {
    this.socket.write(query(text))
  }

  end(): void {
    this.socket.end(terminate)
    this.socket.resume()
  }
}

function untilReady(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0)
    const settle = (error?: Error) => {
      clearTimeout(timer)
      socket.removeAllListeners('data').removeAllListeners('error').removeAllListeners('close')
      if (error === undefined) resolve()
      else reject(error)
    }
    const timer = setTimeout(() => settle(new Error(`no login within ${timeoutMs} ms`)), timeoutMs)
    socket.on('error', settle)
    socket.on('close', () => settle(new Error('the connection was closed during login')))
    socket.on('data', (chunk) => {
      seen = Buffer.concat([seen, chunk])
      while (seen.length >= 5 && seen.length > seen.readInt32BE(1)) {
        const end = seen.readInt32BE(1) + 1
        const type = String.fromCharCode(seen.readUInt8(0))
        if (type === 'Z') return settle()
        if (type === 'E') return settle(new Error(decodeErrorFields(seen, 5, end).message))
        if (type === 'R' && seen.readInt32BE(5) !== 0) {
          return settle(new Error('it wants a password; the bench uses trust'))
        }
        seen = seen.subarray(end)
      }
    })
  })
}
