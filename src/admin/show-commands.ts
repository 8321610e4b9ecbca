import type { AdminSource } from './admin-source.ts'
import * as columns from './columns.ts'
import { actionHelp } from './parse-action.ts'
import { type AdminResult, tableOf } from './result.ts'

interface ShowCommand {
  /** One clause for SHOW HELP. */
  readonly help: string
  readonly run: (source: AdminSource) => AdminResult
}

/** Every `SHOW name`, in the order of SHOW HELP. */
export const showCommands: ReadonlyMap<string, ShowCommand> = new Map(
  Object.entries({
    nodes: {
      help: 'nodes with role, health, lag and load',
      run: (source) => tableOf(columns.nodeColumns, () => source.nodes()),
    },
    pools: {
      help: 'pools per database, user and node',
      run: (source) => tableOf(columns.poolColumns, () => source.pools()),
    },
    clients: {
      help: 'connected clients, why they are pinned, where their last statement went',
      run: (source) => {
        return tableOf(columns.clientColumns, () => withType('C', source.clients()))
      },
    },
    servers: {
      help: 'server connections',
      run: (source) => {
        return tableOf(columns.serverColumns, () => withType('S', source.servers()))
      },
    },
    stats: {
      help: 'totals and averages per database, reads by node role, writes, retries',
      run: (source) => tableOf(columns.statsColumns, () => source.stats()),
    },
    stats_totals: {
      help: 'the totals of SHOW STATS',
      run: (source) => tableOf(columns.statsTotalsColumns, () => source.stats()),
    },
    stats_averages: {
      help: 'the averages of SHOW STATS',
      run: (source) => tableOf(columns.statsAveragesColumns, () => source.stats()),
    },
    routes: {
      help: 'requests by node and by why they went there',
      run: (source) => tableOf(columns.routeColumns, () => source.routes()),
    },
    latencies: {
      help: 'percentiles of waiting and serving per node, reads and writes, in microseconds',
      run: (source) => tableOf(columns.latencyColumns, () => source.latencies()),
    },
    statements: {
      help: 'statements by their time on the primary, why they ran there, and what would change that',
      run: (source) => tableOf(columns.statementColumns, () => source.statements()),
    },
    databases: {
      help: 'databases per node, with pool sizes',
      run: (source) => tableOf(columns.databaseColumns, () => source.databases()),
    },
    users: {
      help: 'users with their limits',
      run: (source) => tableOf(columns.userColumns, () => source.users()),
    },
    rules: {
      help: 'what users and rules give to whom, and how much of it is in use',
      run: (source) => tableOf(columns.ruleColumns, () => source.rules()),
    },
    config: {
      help: 'options in force and their defaults',
      run: (source) => tableOf(columns.configColumns, () => source.config()),
    },
    lists: {
      help: 'how many of each thing there are',
      run: (source) => tableOf(listColumns, () => listRows(source)),
    },
    state: {
      help: 'active, paused or draining',
      run: (source) => tableOf(stateColumns, () => stateRows(source)),
    },
    mem: {
      help: 'memory in use, in bytes',
      run: (source) => tableOf(columns.memoryColumns, () => source.memory()),
    },
    version: {
      help: 'version of pgsplit',
      run: (source) => {
        const versionRows = () => [{ version: `pgsplit ${source.version()}` }]
        return tableOf([['version', 'text']], versionRows)
      },
    },
    help: {
      help: 'this list',
      run: () => tableOf(helpColumns, helpRows),
    },
  } satisfies Record<string, ShowCommand>),
)

const listColumns = [
  ['list', 'text'],
  ['items', 'int8'],
] as const
const stateColumns = [
  ['key', 'text'],
  ['value', 'text'],
] as const
const helpColumns = [
  ['command', 'text'],
  ['shows', 'text'],
] as const

function withType<Row extends object>(
  type: 'C' | 'S',
  rows: readonly Row[],
): readonly (Row & { type: string })[] {
  return rows.map((row) => ({ ...row, type }))
}

function helpRows() {
  const shows = [...showCommands].map(([name, { help }]) => ({
    command: `SHOW ${name.toUpperCase()}`,
    shows: help,
  }))
  return [...shows, ...actionHelp.map(([command, help]) => ({ command, shows: help }))]
}

/** PgBouncer's names where it has the list; `free_…` lists are what it keeps for reuse: 0 here. */
function listRows(source: AdminSource) {
  const clients = source.clients()
  const servers = source.servers()
  const loginClients = clients.filter((client) => client.state === 'login').length
  return [
    { list: 'databases', items: new Set(source.databases().map((row) => row.name)).size },
    { list: 'users', items: source.users().length },
    { list: 'pools', items: source.pools().length },
    { list: 'free_clients', items: 0 },
    { list: 'used_clients', items: clients.length - loginClients },
    { list: 'login_clients', items: loginClients },
    { list: 'pinned_clients', items: clients.filter((row) => row.pin_reason !== null).length },
    { list: 'free_servers', items: 0 },
    { list: 'used_servers', items: servers.length },
    { list: 'nodes', items: source.nodes().length },
  ]
}

function stateRows(source: AdminSource) {
  const state = source.state()
  return [
    { key: 'active', value: state === 'active' ? 'yes' : 'no' },
    { key: 'draining', value: state === 'draining' ? 'yes' : 'no' },
    { key: 'paused', value: state === 'paused' ? 'yes' : 'no' },
    { key: 'suspended', value: 'no' },
  ]
}
