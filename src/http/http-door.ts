import { createServer as createHttpServer, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { createAdaptorServer } from '@hono/node-server'
import { listenAt, type Place, placeOf } from '../net/listen.ts'
import type { ClientTls } from '../net/tls-options.ts'
import { createApp } from './app.ts'
import type { HttpSource } from './http-source.ts'
import { QuietConnections } from './quiet-connections.ts'

/** Longest head of a request, bytes. */
const maxHeaderSize = 16 * 1024
/** How long a peer may take to say what it wants, ms; then it is told 408, and closed. */
const defaultPatienceMs = 10_000
/** How often that is looked at, ms. */
const connectionsCheckingInterval = 1_000
/** How long a connection is kept for another request, ms: longer than Prometheus pauses usually. */
const keepAliveTimeout = 65_000
/** A connection on which nothing moves; a PAUSE is answered late. */
const silenceTimeoutMs = 300_000

export interface HttpDoorOptions {
  readonly listen: readonly Place[]
  readonly maxConnections: number
  readonly tls: ClientTls
  readonly source: HttpSource
  /** For a TLS handshake, for a head, and for a body behind it. Default 10,000 ms. */
  readonly patienceMs?: number
}

/** The HTTP door: one server for each address, all of one application, with bounds for bad callers. */
export class HttpDoor {
  readonly #servers: Server[] = []
  readonly #connections: QuietConnections[] = []

  private constructor() {}

  /** Rejects with ConfigError for an address that can't be had; then nothing is open. */
  static async open(options: HttpDoorOptions): Promise<HttpDoor> {
    const door = new HttpDoor()
    try {
      for (const [index, place] of options.listen.entries()) {
        const server = serverOf(options)
        const path = options.listen.length > 1 ? `http.listen[${index}]` : 'http.listen'
        await listenAt(server, place, path)
        door.#servers.push(server)
        door.#connections.push(new QuietConnections(server, options.maxConnections))
      }
    } catch (error) {
      door.close()
      throw error
    }
    return door
  }

  get addresses(): readonly Place[] {
    return this.#servers.map(placeOf)
  }

  /** For connections from now on. */
  reconfigure({ maxConnections, tls }: Pick<HttpDoorOptions, 'maxConnections' | 'tls'>): void {
    for (const connections of this.#connections) connections.max = maxConnections
    for (const server of this.#servers) {
      if ('setSecureContext' in server && tls.files !== null) {
        ;(server as ReturnType<typeof createHttpsServer>).setSecureContext(tls.files.options)
      }
    }
  }

  close(): void {
    for (const server of this.#servers) {
      server.close()
      server.closeAllConnections()
    }
  }
}

function serverOf({ source, tls, patienceMs = defaultPatienceMs }: HttpDoorOptions): Server {
  const bounds = {
    maxHeaderSize,
    headersTimeout: patienceMs,
    requestTimeout: 2 * patienceMs,
    connectionsCheckingInterval: Math.min(connectionsCheckingInterval, patienceMs),
    keepAliveTimeout,
  }
  const { files } = tls
  const { fetch } = createApp(source, files !== null)
  const server =
    files === null
      ? createAdaptorServer({ fetch, createServer: createHttpServer, serverOptions: bounds })
      : createAdaptorServer({
          fetch,
          createServer: createHttpsServer,
          serverOptions: {
            ...bounds,
            ...files.options,
            handshakeTimeout: patienceMs,
            requestCert: tls.asksCertificate,
            rejectUnauthorized: tls.mustVerify,
          },
        })
  const plain = server as Server
  plain.setTimeout(silenceTimeoutMs)
  return plain
}
