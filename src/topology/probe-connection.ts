import type { ConnectionOptions } from 'node:tls'
import pg from 'pg'
import type { NodeSpec } from './node.ts'
import type { ProbeRow } from './probe.ts'

/** One open connection for probes: all that the monitor knows of PostgreSQL's client. */
export interface ProbeConnection {
  /** Runs one statement and resolves to its only row, values as text. */
  query(sql: string): Promise<ProbeRow>
  /** Closes at once; never throws, may be called twice. */
  close(): void
}

interface OpenProbeCall {
  /** Fires when nobody waits for the connection any more. */
  readonly signal: AbortSignal
  /** To be called once if the connection is lost after it was open. */
  readonly onLost: () => void
}

/** Dials and logs in. Rejects with the server's or the system's error, `code` untouched. */
export type OpenProbe = (node: NodeSpec, call: OpenProbeCall) => Promise<ProbeConnection>

/** Who the monitor is at the nodes. `pg_monitor` is enough; so is any role that may log in. */
export interface ProbeLogin {
  readonly user: string
  readonly password?: string
  readonly database: string
  readonly ssl?: false | ConnectionOptions
  /** ms; the server itself gives up after this, should the monitor vanish. */
  readonly statementTimeoutMs?: number
}

const GOODBYE_MS = 250

const asText = () => (value: string) => value

/** Probe connections over `pg`. `login` may differ by node. */
export function pgProbeOpener(login: (node: NodeSpec) => ProbeLogin): OpenProbe {
  return async (node, { signal, onLost }) => {
    const who = login(node)
    const client = new pg.Client({
      host: node.host,
      port: node.port,
      user: who.user,
      // A function: an empty string would make pg look into the environment and ~/.pgpass.
      password: () => who.password ?? '',
      database: who.database,
      ssl: who.ssl ?? false,
      keepAlive: true,
      application_name: 'pgsplit-monitor',
      types: { getTypeParser: asText },
      // Role defaults must not break probes: a standby refuses serializable for every statement.
      options: [
        '-c default_transaction_isolation=read\\ committed',
        '-c jit=off',
        `-c statement_timeout=${who.statementTimeoutMs ?? 10_000}`,
      ].join(' '),
    })
    let open = false
    let closed = false
    const close = (): void => {
      if (closed) return
      closed = true
      if (!open) {
        destroyStream(client)
        return
      }
      client.end().catch(() => {})
      // end() waits for the server's goodbye; a hung server never says it.
      setTimeout(() => destroyStream(client), GOODBYE_MS).unref()
    }
    const lost = (): void => {
      if (!open || closed) return
      close()
      onLost()
    }
    client.on('error', lost)
    client.on('end', lost)
    signal.addEventListener('abort', close, { once: true })
    try {
      await client.connect()
    } catch (error) {
      close()
      throw error
    } finally {
      signal.removeEventListener('abort', close)
    }
    if (closed) throw new Error('the probe was given up while dialling')
    open = true
    return {
      async query(sql) {
        const result = await client.query<(string | null)[]>({ text: sql, rowMode: 'array' })
        const row = result.rows[0]
        if (row === undefined) throw new Error('a probe was answered without a row')
        return row
      },
      close,
    }
  }
}

function destroyStream(client: pg.Client): void {
  const { connection } = client as unknown as { connection?: { stream?: { destroy(): void } } }
  connection?.stream?.destroy()
}
