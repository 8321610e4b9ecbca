import type { Link } from '../net/link.ts'
import type { ServerConnection } from '../server/server-connection.ts'

/** More than this waiting for a client stops reading from its server, bytes; and the other way. */
export const highWaterBytes = 256 * 1024
/** More than this of a client's input waiting stops reading from the client, bytes. */
const maxInputBytes = 64 * 1024

/** Backpressure both ways: who doesn't read stops the other side, not our memory. */
export class Flow {
  readonly #link: Link
  /** What the session holds of its client's input, bytes. */
  #inputBytes = 0
  #isPausedForServer = false
  #pausedServer: ServerConnection | null = null

  constructor(link: Link) {
    this.#link = link
  }

  /** Input of the client is held (positive) or was used (negative). */
  addInput(bytes: number): void {
    this.#inputBytes += bytes
    if (this.#inputBytes > maxInputBytes) this.#link.pause()
  }

  /** Reads on, unless there is a reason not to. */
  resumeClient(): void {
    if (this.#inputBytes <= maxInputBytes && !this.#isPausedForServer) this.#link.resume()
  }

  /** The server doesn't read: the client waits until `connection` has room, then `goOn` is called. */
  pauseForServer(connection: ServerConnection, goOn: () => void): void {
    if (this.#isPausedForServer) return
    this.#isPausedForServer = true
    this.#link.pause()
    connection.link.onDrain = () => {
      connection.link.onDrain = () => {}
      this.serverHasRoom()
      goOn()
    }
  }

  /** The server connection has room again, or is gone. */
  serverHasRoom(): void {
    if (!this.#isPausedForServer) return
    this.#isPausedForServer = false
    this.resumeClient()
  }

  /** A client that reads slowly stops its server. */
  pauseServer(connection: ServerConnection | null): void {
    if (connection === null || this.#pausedServer === connection) return
    this.#pausedServer = connection
    connection.pause()
  }

  /** The client has read, is gone, or its answer is complete: the next user's must not wait for it. */
  resumeServer(): void {
    const connection = this.#pausedServer
    if (connection === null) return
    this.#pausedServer = null
    connection.resume()
  }
}
