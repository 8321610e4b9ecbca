import type { NodeConfig } from '../config/config.ts'
import type { ServerTls } from '../net/tls-options.ts'
import { dialNode } from '../node-client.ts'
import type { OpenProbe } from '../topology/probe-connection.ts'

export interface ProbeOptions {
  /** For TCP, TLS and the log-in together, ms. Whoever probes gives up earlier, by his signal. */
  readonly connectTimeoutMs: number
  /** ms. */
  readonly statementTimeoutMs: number
  /** Told of every connection that was opened, and whether it is TLS. */
  readonly onOpen?: (node: NodeConfig, isEncrypted: boolean) => void
  /** Told why one could not be opened. */
  readonly onFailure?: (node: NodeConfig, error: unknown) => void
}

/** Connections as the monitor's role, for probes and for questions about positions. */
export function probeOpener(
  nodeOf: (index: number) => { readonly node: NodeConfig; readonly tls: ServerTls } | undefined,
  { onOpen, onFailure, ...timeouts }: ProbeOptions,
): OpenProbe {
  return async (spec, { signal, onLost }) => {
    const found = nodeOf(spec.index)
    if (found === undefined) throw new Error(`node ${spec.id} has left the cluster`)
    const { node, tls } = found
    const { session, isEncrypted } = await dialNode(node, {
      ...timeouts,
      tls,
      signal,
      onLost,
      applicationName: 'pgsplit-monitor',
      // Role defaults must not break probes: a standby refuses serializable for every statement.
      settings: '-c default_transaction_isolation=read\\ committed -c jit=off',
    }).catch((error: unknown) => {
      onFailure?.(node, error)
      throw error
    })
    onOpen?.(node, isEncrypted)
    return {
      query: async (sql) => {
        const [row] = (await session.ask(sql)).rows
        if (row === undefined) throw new Error('a probe was answered without a row')
        return row
      },
      close: () => session.end(),
    }
  }
}
