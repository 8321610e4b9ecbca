import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { Command } from 'commander'
import type { ClusterConfig, NodeConfig } from '../config/config.ts'
import { type ConfigFlags, configFromFlags } from '../config/config-from-flags.ts'
import { ConfigError } from '../errors.ts'
import { discoverOnce } from './cluster-nodes.ts'
import { type CommandIo, ExitWith } from './command-io.ts'
import { withConfigOptions } from './config-options.ts'

/** What the classifier says of a statement; the part of its class that is shown. */
export interface Judgement {
  readonly verdict: string
  readonly reason: string
  readonly pin: string | null
  readonly hint?: { readonly route: 'primary' | 'replica' | null } | null
}

/** Loads a database's catalog from the primary; gives what judges statements by it. */
export type OpenJudge = (
  primary: NodeConfig,
  cluster: ClusterConfig,
  database: string,
) => Promise<(sql: string) => Judgement>

/** One answer of `--json -`. */
export interface Explanation {
  readonly sql: string
  readonly class: string
  readonly route: 'replica' | 'primary'
  readonly pin: string | null
  readonly reason: string
}

type ExplainFlags = ConfigFlags & { readonly database?: string; readonly json?: string }

/** `pgsplit explain`: where a statement would go and why, against the live catalog. */
export function explainCommand(io: CommandIo, openJudge: OpenJudge): Command {
  return withConfigOptions(new Command('explain'))
    .description('say where a statement would go and why, without running it')
    .argument('[sql]', 'the statement')
    .option('-d, --database <name>', "whose catalog to use; default: the monitor's database")
    .option('--json <file>', '"-": read one JSON string per line, answer one object per line')
    .action(async (sql: string | undefined, flags: ExplainFlags) => {
      if ((sql === undefined) === (flags.json === undefined)) {
        throw new ConfigError('', 'give either a statement or --json -')
      }
      if (flags.json !== undefined && flags.json !== '-') {
        throw new ConfigError('--json', 'reads standard input only; write --json - < statements')
      }
      const { database, json: _, ...config } = flags
      const { clusters } = configFromFlags(config, { env: io.env })
      const cluster = clusterOf(clusters, database)
      if (cluster === undefined) {
        throw new ConfigError('--database', 'no cluster of the configuration has this database')
      }
      const primary = await primaryOf(cluster)
      const judge = await openJudge(primary, cluster, database ?? primary.login.database)
      if (sql === undefined) await answerLines(io, judge)
      else for (const line of describe(explain(sql, judge))) io.print(line)
    })
}

/** Whom the file or its source of nodes takes for the primary; any node has the same catalog. */
async function primaryOf(cluster: ClusterConfig): Promise<NodeConfig> {
  const [listed] = cluster.nodes
  if (listed?.role === 'primary') return listed
  const discovered = await discoverOnce(cluster)
  const primary = discovered?.nodes[0] ?? listed
  if (primary !== undefined) return primary
  const reason = discovered?.complaint ?? 'nothing is listed'
  throw new ConfigError(`clusters.${cluster.name}.discovery`, `no node was found: ${reason}`)
}

function clusterOf(clusters: readonly ClusterConfig[], database: string | undefined) {
  if (database === undefined) return clusters[0]
  return (
    clusters.find((cluster) => cluster.databases.includes(database)) ??
    clusters.find((cluster) => cluster.databases.includes('*'))
  )
}

/** Only what is proved goes to a replica; a hint can take it back, never add to it. */
export function explain(sql: string, judge: (sql: string) => Judgement): Explanation {
  const { verdict, reason, pin, hint } = judge(sql)
  const isRead = verdict === 'replica' || verdict === 'either'
  if (isRead && hint?.route === 'primary') {
    return { sql, class: verdict, route: 'primary', pin, reason: 'its hint says primary' }
  }
  return { sql, class: verdict, route: isRead ? 'replica' : 'primary', pin, reason }
}

function describe({ class: verdict, route, pin, reason }: Explanation): string[] {
  return [
    `route   ${route}`,
    `class   ${verdict}`,
    `reason  ${reason}`,
    ...(pin === null ? [] : [`pin     ${pin}`]),
  ]
}

async function answerLines(io: CommandIo, judge: (sql: string) => Judgement): Promise<void> {
  const lines = createInterface({ input: Readable.from(io.stdin), crlfDelay: Infinity })
  let number = 0
  let mistakes = 0
  for await (const line of lines) {
    number += 1
    if (line.trim() === '') continue
    const sql = parseLine(line)
    if (sql === undefined) {
      mistakes += 1
      io.complain(`line ${number} is no JSON string; write one per line, such as "SELECT 1"`)
    } else io.print(JSON.stringify(explain(sql, judge)))
  }
  if (mistakes > 0) throw new ExitWith(1)
}

function parseLine(line: string): string | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
