import { type AddressInfo, createServer, type Server } from 'node:net'
import { ConfigError } from '../errors.ts'

export interface Place {
  readonly host: string
  readonly port: number
}

/** Resolves when the server accepts. Rejects with ConfigError of `path` when the address can't be had. */
export function listenAt(server: Server, { host, port }: Place, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const text =
        error.code === 'EADDRINUSE'
          ? `${host}:${port} is in use by another process; choose another port`
          : `cannot listen on ${host}:${port}: ${error.message}`
      reject(new ConfigError(path, text, error))
    })
    server.listen(port, host, 1024, () => {
      server.removeAllListeners('error')
      // A failed accept (out of descriptors) must not end the process.
      server.on('error', () => {})
      resolve()
    })
  })
}

/**
 * Rejects as `listenAt` would, before anything else is started; what is taken in between is noticed
 * by that.
 */
export async function assertFree(place: Place, path: string): Promise<void> {
  if (place.port === 0) return
  const server = createServer()
  await listenAt(server, place, path)
  await new Promise((resolve) => server.close(resolve))
}

/** Where the server accepts: with the port that the system chose for 0. */
export function placeOf(server: Server): Place {
  const { address, port } = server.address() as AddressInfo
  return { host: address, port }
}
