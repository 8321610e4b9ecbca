import { credential, noCredential } from '../auth/credential.ts'
import { NotificationHub } from '../client/notification-hub.ts'
import type { Logger } from '../log.ts'
import { ask, errorOf } from '../server/ask.ts'
import { connectServer } from '../server/connect.ts'
import { ConnectError } from '../server/connect-error.ts'
import { ServerConnection, type ServerConnectionEvents } from '../server/server-connection.ts'
import type { Snapshot } from '../topology/snapshot.ts'
import { query } from '../wire/frontend-messages.ts'
import { textRow } from '../wire/text-row.ts'
import type { Cluster } from './cluster.ts'

/** What a role's or the server's settings could do to a connection that only waits. */
const settings =
  query(`SET client_encoding TO 'UTF8'; SET application_name TO 'pgsplit listen'; SET statement_timeout TO 0;
  SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
  WHERE name OPERATOR(pg_catalog.=) 'idle_session_timeout'; SHOW max_identifier_length`)

const deaf: ServerConnectionEvents = {
  onQuiet: () => {},
  onLost: () => {},
  onStrayNotice: () => {},
}

/** Names are cut here where the server cuts them. */
const nameBytes = '63'

/** Rejects if the hub can't work on this connection; then it is closed. */
function askFitness(connection: ServerConnection): Promise<void> {
  return new Promise((resolve, reject) => {
    ask(connection, settings, {
      answered: (answer) => {
        const row = answer.rows.at(-1)
        const [length] = row === undefined ? [] : textRow(row, 0, row.length, 'latin1')
        let why = errorOf(answer)?.message ?? null
        if (length !== nameBytes) why ??= `max_identifier_length is ${length}`
        if (why === null) resolve()
        else {
          connection.close()
          reject(new Error(why))
        }
      },
      lost: reject,
    })
  })
}

/** The hubs of a cluster's databases, each with its connection to the primary. */
export class Hubs {
  readonly #cluster: Cluster
  readonly #log: Logger
  readonly #hubs = new Map<string, NotificationHub>()

  constructor(cluster: Cluster, log: Logger) {
    this.#cluster = cluster
    this.#log = log
  }

  of(database: string): NotificationHub {
    let hub = this.#hubs.get(database)
    if (hub === undefined) {
      hub = new NotificationHub({
        open: () => this.#open(database),
        processIdOf: (processId) => this.#processIdOf(database, processId),
        onChange: (isOpen, reason) =>
          this.#log.info(
            { event: isOpen ? 'hub_opened' : 'hub_closed', database, reason },
            `the connection that listens in ${database} was ${isOpen ? 'opened' : 'closed'}`,
          ),
      })
      this.#hubs.set(database, hub)
    }
    return hub
  }

  /** Another primary: what is notified there no connection to the old one hears. */
  follow({ primary }: Snapshot): void {
    if (primary === null) return
    for (const hub of this.#hubs.values()) {
      const at = hub.nodeIndex
      if (at !== null && at !== primary.index) hub.leave(at, `${primary.id} is the primary now`)
    }
  }

  /** Nobody may be connected to `database`, if nobody listens there. */
  rest(database: string): void {
    this.#hubs.get(database)?.rest()
  }

  /** Forgets the hubs of databases that nobody uses. */
  tidy(): void {
    const used = new Set([...this.#cluster.scopes.values()].map(({ database }) => database))
    for (const [database, hub] of this.#hubs) {
      if (used.has(database) || hub.isActive) continue
      hub.close()
      this.#hubs.delete(database)
    }
  }

  close(): void {
    for (const hub of this.#hubs.values()) hub.close()
  }

  /** LISTEN needs no privilege but to connect: the monitor may, or else a user of that database. */
  async #open(database: string): Promise<ServerConnection> {
    const { primary } = this.#cluster.snapshot
    if (primary === null) throw new Error('there is no primary now')
    const connection = await this.#openAsMonitor(primary.index, database).catch((error) => {
      const isRefused = error instanceof ConnectError && /^(28|42)/.test(error.sqlstate)
      const scope = [...this.#cluster.scopes.values()].find((one) => one.database === database)
      if (!isRefused || scope === undefined) throw error
      return scope.open(primary.index, deaf)
    })
    await askFitness(connection)
    return connection
  }

  async #openAsMonitor(nodeIndex: number, database: string): Promise<ServerConnection> {
    const cluster = this.#cluster
    const node = cluster.node(nodeIndex)
    const { login, name } = node
    const password = login.password?.reveal()
    const opened = await connectServer({
      target: node,
      user: login.user,
      database,
      credential:
        password === undefined ? noCredential : credential({ kind: 'password', password }),
      tls: cluster.tls(nodeIndex),
      timeoutMs: cluster.config.pool.connectTimeoutMs,
      allowCleartext: true,
      parameters: [['application_name', 'pgsplit']],
    })
    const connection = new ServerConnection(
      {
        link: opened.link,
        nodeIndex,
        nodeId: name,
        processId: opened.processId,
        secretKey: opened.secretKey,
        parameters: opened.parameters,
      },
      deaf,
      cluster.nowMs(),
    )
    opened.link.offer(opened.leftover)
    opened.link.resume()
    return connection
  }

  /** Who notified: the client that has or had the server process, if it can't have been another. */
  #processIdOf(database: string, serverProcessId: number): number | null {
    for (const scope of this.#cluster.scopes.values()) {
      if (scope.database !== database) continue
      for (const pool of scope.pools.values()) {
        for (const connection of pool.connections) {
          if (connection.processId !== serverProcessId) continue
          if (this.#cluster.isReplica(connection.nodeIndex)) continue
          const { writer, writerFence } = connection.channels
          return writer !== null && this.of(database).isPast(writerFence) ? writer : null
        }
      }
    }
    return null
  }
}
