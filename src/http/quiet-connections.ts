import type { Server } from 'node:http'
import type { Socket } from 'node:net'

interface Entry {
  readonly socket: Socket
  /** Requests that have not been answered yet. */
  busy: number
}

/**
 * Bounds the connections of an HTTP server: for one too many the one goes that has been quiet for
 * longest, so that those who say nothing keep nobody out. If all are busy, the new one goes.
 */
export class QuietConnections {
  max: number
  /** By peer: TLS has another object for the same socket. In the order of their last word. */
  readonly #entries = new Map<string, Entry>()

  constructor(server: Server, max: number) {
    this.max = max
    server.on('connection', (socket: Socket) => this.#add(socket))
    server.on('request', ({ socket }, response) => {
      const key = keyOf(socket)
      const entry = this.#entries.get(key)
      if (entry === undefined) return
      entry.busy++
      response.once('close', () => {
        entry.busy--
        if (this.#entries.get(key) !== entry) return
        this.#entries.delete(key)
        this.#entries.set(key, entry)
      })
    })
  }

  get size(): number {
    return this.#entries.size
  }

  #add(socket: Socket): void {
    const key = keyOf(socket)
    this.#entries.set(key, { socket, busy: 0 })
    socket.once('close', () => {
      if (this.#entries.get(key)?.socket === socket) this.#entries.delete(key)
    })
    if (this.#entries.size <= this.max) return
    const quiet = [...this.#entries.values()].find(({ busy }) => busy === 0)
    const victim = quiet?.socket ?? socket
    this.#entries.delete(keyOf(victim))
    victim.destroy()
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
