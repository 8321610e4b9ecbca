import net from 'node:net'

/** A TCP relay on loopback in front of one server, to cut it off in the ways that networks do. */
export class TcpRelay {
  readonly port: number
  readonly #server: net.Server
  readonly #pairs = new Set<readonly [net.Socket, net.Socket]>()
  #isSilent = false

  private constructor(server: net.Server, targetPort: number) {
    this.#server = server
    const address = server.address()
    this.port = address !== null && typeof address === 'object' ? address.port : 0
    server.on('connection', (socket) => this.#join(socket, targetPort))
  }

  /** Listens on a free port of 127.0.0.1, if not told where. */
  static async start(
    targetPort: number,
    at: { readonly host?: string; readonly port?: number } = {},
  ): Promise<TcpRelay> {
    const server = net.createServer()
    const { host = '127.0.0.1', port = 0 } = at
    await new Promise<void>((resolve) => server.listen(port, host, resolve))
    return new TcpRelay(server, targetPort)
  }

  /** Ends every connection, as a restarted firewall does. */
  reset(): void {
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy()
      far.destroy()
    }
    this.#pairs.clear()
  }

  /**
   * Nothing passes any more, and nobody is told. What is open now stays dead, as after a host was
   * lost: `heal` lets only new connections pass, and `reset` ends the dead ones.
   */
  silence(): void {
    this.#isSilent = true
    for (const [near, far] of this.#pairs) {
      near.pause()
      far.destroy()
    }
  }

  heal(): void {
    this.#isSilent = false
  }

  stop(): void {
    this.reset()
    this.#server.close()
  }

  #join(near: net.Socket, targetPort: number): void {
    if (this.#isSilent) {
      near.on('error', () => {})
      near.pause()
      const pair = [near, new net.Socket()] as const
      this.#pairs.add(pair)
      near.on('close', () => this.#pairs.delete(pair))
      return
    }
    const far = net.connect(targetPort, '127.0.0.1')
    const pair = [near, far] as const
    this.#pairs.add(pair)
    near.setNoDelay(true)
    far.setNoDelay(true)
    near.on('error', () => {})
    far.on('error', () => {
      if (!near.isPaused()) near.resetAndDestroy()
    })
    near.on('data', (chunk) => void far.write(chunk))
    far.on('data', (chunk) => void near.write(chunk))
    far.on('end', () => {
      if (!this.#isSilent) near.end()
    })
    near.on('close', () => {
      this.#pairs.delete(pair)
      far.destroy()
    })
  }
}
