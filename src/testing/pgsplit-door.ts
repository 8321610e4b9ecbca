import { setTimeout as sleep } from 'node:timers/promises'
import { createLogger, type NodeStatus, type PgSplit, parseConfig, startProxy } from '../index.ts'
import type { ServerNode } from './server-cluster.ts'
import { TestingError } from './testing-error.ts'

const SEEN_TIMEOUT_MS = 30_000

type Sections = Readonly<Record<string, unknown>>

/** pgsplit in this process, in front of the servers of a test. */
export class PgsplitDoor {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly #proxy: PgSplit

  private constructor(proxy: PgSplit, port: number) {
    this.#proxy = proxy
    this.port = port
  }

  /** `sections` stand over the defaults, like those of a cluster in pgsplit's configuration. */
  static async open(
    primary: ServerNode,
    replicas: readonly ServerNode[],
    sections: Sections,
    login: { readonly username: string; readonly password: string },
  ): Promise<PgsplitDoor> {
    const { monitor, routing, ...rest } = sections
    const node = (server: ServerNode) => ({
      url: server.urlFor('postgres', login.username, login.password),
      name: server.name,
    })
    const config = parseConfig({
      listen: '127.0.0.1:0',
      log: { level: 'silent' },
      clusters: {
        test: {
          primary: node(primary),
          replicas: replicas.map(node),
          monitor: { probeInterval: '200ms', probeTimeout: '1s', ...asSection(monitor) },
          routing: { slowStart: '0', failTimeout: '1s', ...asSection(routing) },
          ...rest,
        },
      },
    })
    const proxy = await startProxy(config, createLogger(config.log))
    const [address] = proxy.addresses
    if (address === undefined) throw new TestingError('pgsplit listens nowhere')
    return new PgsplitDoor(proxy, address.port)
  }

  nodes(): readonly NodeStatus[] {
    return this.#proxy.nodes()
  }

  /** Resolves when pgsplit knows the server as one in that role that answers. */
  async sees(server: ServerNode, role: 'primary' | 'replica'): Promise<void> {
    const deadline = performance.now() + SEEN_TIMEOUT_MS
    for (;;) {
      const node = this.nodes().find(({ name }) => name === server.name)
      if (node?.role === role && node.state === 'up') return
      if (performance.now() > deadline) {
        throw new TestingError(
          `pgsplit does not see ${server.name} as ${role} within ${SEEN_TIMEOUT_MS} ms; it sees ${JSON.stringify(node)}`,
        )
      }
      await sleep(10)
    }
  }

  async close(): Promise<void> {
    await this.#proxy.stop({ drain: false })
  }
}

function asSection(value: unknown): Sections {
  return typeof value === 'object' && value !== null ? (value as Sections) : {}
}
