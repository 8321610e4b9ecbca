import postgres from 'postgres'
import { assertKnown, type OptionNames } from '../../known-options.ts'
import { ConnectionPool, type Connector } from '../connection-pool.ts'
import type { Driver, NodeTarget } from '../driver-pool.ts'
import type { ProxyDriver } from '../proxy/lines.ts'
import { JsConnection, type JsSettings, type PostgresJsOptions } from './js-connection.ts'

const clientNames: OptionNames<PostgresJsOptions> = {
  connection: true,
  debug: true,
  fetch_types: true,
  keep_alive: true,
  onnotice: true,
  onparameter: true,
  prepare: true,
  transform: true,
  types: true,
}

/**
 * The options that all connections share. Its `options` are what Drizzle and applications know as
 * `$client.options`: parsers and serializers set there, first of all by
 * `drizzle()`, count for every connection made later.
 */
export function jsSettings(client: PostgresJsOptions): JsSettings & {
  readonly options: postgres.ParsedOptions
} {
  assertKnown<PostgresJsOptions>(client, clientNames, 'client')
  // It never connects.
  const { options } = postgres({ ...client, max: 1, fetch_types: false })
  const { parsers, serializers } = options
  return { client, parsers, serializers, options: options as postgres.ParsedOptions }
}

/** postgres.js: connections of its own making in a pool of ours for each node. */
export function jsDriver(settings: JsSettings): Driver<JsConnection> & ProxyDriver<JsConnection> {
  return {
    bindsChannels: false,
    open: (target, options) => new ConnectionPool(target, options, jsConnector(settings, target)),
    connector: (target) => jsConnector(settings, target),
    ask: async (connection, text) => {
      const [row] = await connection.run(text, [], {}, true)
      return String((row as unknown as unknown[] | undefined)?.[0] ?? '')
    },
    command: (connection, text) => connection.run(text, [], {}, false),
    lastWord: ({ lastWord }) => lastWord,
  }
}

function jsConnector(settings: JsSettings, target: NodeTarget): Connector<JsConnection> {
  return {
    open: (timeoutMs, onLost) => JsConnection.open(target, settings, timeoutMs, onLost),
    end: (connection) => connection.end(),
    destroy: (connection) => connection.destroy(),
  }
}
