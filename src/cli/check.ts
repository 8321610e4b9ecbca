import { Command } from 'commander'
import { factDifferences, settingDifferences } from '../catalog/node-traits.ts'
import type { ClusterConfig, NodeConfig } from '../config/config.ts'
import { type ConfigFlags, configFromFlags } from '../config/config-from-flags.ts'
import { type Discover, type Discovered, discoverOnce } from './cluster-nodes.ts'
import { type CommandIo, ExitWith } from './command-io.ts'
import { withConfigOptions } from './config-options.ts'
import { errorLine } from './error-line.ts'
import { inspectNode, type NodeFacts } from './inspect-node.ts'
import { hbaObstacle } from './login-obstacles.ts'

export type Inspect = (node: NodeConfig, cluster: ClusterConfig) => Promise<NodeFacts>

/** `pgsplit check`: one line per node; exit code 1 when something is wrong. */
export function checkCommand(
  io: CommandIo,
  inspect: Inspect = inspectNode,
  discover: Discover = discoverOnce,
): Command {
  return withConfigOptions(new Command('check'))
    .description('check the configuration and try its nodes')
    .action(async (flags: ConfigFlags) => {
      const { clusters } = configFromFlags(flags, { env: io.env })
      const looks = await Promise.all(clusters.map((cluster) => look(cluster, inspect, discover)))
      const reports = looks.flat()
      for (const { line } of reports) io.print(line)
      const nodes = reports.filter(({ isNode }) => isNode)
      const problems = nodes.filter(({ isWell }) => !isWell).length
      if (reports.some(({ isWell }) => !isWell)) {
        io.complain(`nodes with problems: ${problems} of ${nodes.length}`)
        throw new ExitWith(1)
      }
      io.print(`the configuration is valid; nodes that are well: ${nodes.length}`)
    })
}

interface Report {
  /** false: it tells of what lists the nodes. */
  readonly isNode: boolean
  readonly line: string
  readonly isWell: boolean
}

async function look(
  cluster: ClusterConfig,
  inspect: Inspect,
  discover: Discover,
): Promise<Report[]> {
  const discovered = await discover(cluster)
  const looks = await Promise.all(
    [...cluster.nodes, ...(discovered?.nodes ?? [])].map(async (node) => {
      const facts = await inspect(node, cluster).catch((error: unknown) => failureOf(error, node))
      return { node, facts }
    }),
  )
  const answers = looks.flatMap(({ facts }) => (typeof facts === 'string' ? [] : [facts]))
  const primary = newestPrimary(answers)
  const nodes = looks.map(({ node, facts }) => {
    const wrong = typeof facts === 'string' ? [facts] : faults(facts, node, cluster, primary)
    const notes = typeof facts === 'string' ? [] : outdated(facts, node, cluster, primary)
    const found =
      typeof facts === 'string' ? wrong : [describeNode(facts, primary), ...notes, ...wrong]
    const isWell = wrong.length === 0
    const word = !isWell ? 'FAIL' : notes.length > 0 ? 'warn' : 'ok  '
    const place = `${node.host}:${node.port}`
    const who = [cluster.name, ...(node.name === place ? [] : [node.name]), place].join('  ')
    return {
      isNode: true,
      isWell,
      line: `${word}  ${who}  ${found.join('; ')}`,
    }
  })
  if (discovered === null) return nodes
  return [discoveryReport(cluster, discovered, primary !== undefined), ...nodes]
}

function discoveryReport(cluster: ClusterConfig, found: Discovered, hasPrimary: boolean): Report {
  const isEmpty = found.found.length === 0
  const parts = [
    ...(isEmpty ? [] : [found.found.join(', ')]),
    ...(found.complaint === null ? [] : [found.complaint]),
    ...(isEmpty || hasPrimary ? [] : ['no node that answers is a primary']),
  ]
  const isWell = found.complaint === null && !isEmpty && hasPrimary
  const text = parts.join('; ') || 'it lists no node'
  const line = `${isWell ? 'ok  ' : 'FAIL'}  ${cluster.name}  ${found.kind}  ${text}`
  return { isNode: false, isWell, line }
}

/** The line already names the address; Node's error begins with it. */
function failureOf(error: unknown, { host, port }: NodeConfig): string {
  const line = errorLine(error)
  return line.startsWith(`${host}:${port}: `) ? line.slice(`${host}:${port}: `.length) : line
}

/** Of several that say they are primary, the one that was promoted last. */
function newestPrimary(answers: readonly NodeFacts[]): NodeFacts | undefined {
  let newest: NodeFacts | undefined
  for (const facts of answers) {
    if (facts.isStandby) continue
    if (newest === undefined || facts.timeline > newest.timeline) newest = facts
  }
  return newest
}

/** On another history than the primary, as that of a primary that was replaced. */
function strayed(facts: NodeFacts, primary: NodeFacts): string | null {
  if (facts.systemIdentifier !== primary.systemIdentifier) return null
  const own = facts.isStandby ? (facts.receivedTimeline ?? null) : facts.timeline
  if (own === null || own >= primary.timeline) return null
  return facts.isStandby
    ? `strayed: it streams timeline ${own}, the primary is on ${primary.timeline}; let it follow the primary, or rebuild it`
    : `fenced: a former primary on timeline ${own}, the cluster is on ${primary.timeline}; rebuild it`
}

/** What the file says of roles and is no longer so: nothing depends on it. */
export function outdated(
  facts: NodeFacts,
  { role }: NodeConfig,
  { discovery }: ClusterConfig,
  primary: NodeFacts | undefined,
): string[] {
  // Where nodes are discovered, roles are expected to move.
  if (discovery !== null || primary === undefined) return []
  if (role === 'primary' && facts.isStandby) {
    return [
      'the file has it as the primary, which another node is now; pgsplit goes by what the nodes say',
    ]
  }
  if (role === 'replica' && facts === primary) {
    return [
      'is the primary now, the file has it under replicas; pgsplit goes by what the nodes say',
    ]
  }
  return []
}

/** What is wrong with a node that answered, each with its way out. */
export function faults(
  facts: NodeFacts,
  node: NodeConfig,
  cluster: ClusterConfig,
  primary: NodeFacts | undefined,
): string[] {
  const found: string[] = []
  const hasRole = cluster.discovery === null
  if (hasRole && node.role === 'primary' && facts.isStandby && primary === undefined) {
    found.push('is a standby, and no node is a primary; promote one, or name the primary')
  }
  // One on an older history is told of below.
  if (primary !== undefined && !facts.isStandby && facts !== primary) {
    if (facts.timeline === primary.timeline) {
      found.push('is a second primary; let it follow the primary')
    }
  }
  if (primary !== undefined && primary.systemIdentifier !== facts.systemIdentifier) {
    found.push('belongs to another cluster than the primary (its system identifier differs)')
  }
  const stray = primary === undefined ? null : strayed(facts, primary)
  if (stray !== null) found.push(stray)
  if (!facts.isStandby && facts.lookupFault !== null) found.push(facts.lookupFault)
  if (primary?.hba && facts.hba && facts.isStandby) {
    const obstacle = hbaObstacle(primary.hba, facts.hba)
    if (obstacle !== null) found.push(obstacle)
  }
  found.push(...(facts.triggers ?? []))
  if (cluster.pool.size > facts.maxConnections) {
    found.push(
      `pool.size ${cluster.pool.size} is more than its max_connections ${facts.maxConnections}; lower pool.size`,
    )
  }
  return found
}

/** Where a replica is set up otherwise than the primary, as far as that shows in what it answers. */
function differences({ traits: primary }: NodeFacts, { traits: replica }: NodeFacts): string[] {
  if (primary === undefined || replica === undefined) return []
  const levelled = [...settingDifferences(primary, replica).keys()]
  const left = factDifferences(primary, replica)
  return [
    ...(levelled.length === 0 ? [] : [`given the primary's ${levelled.join(' and ')}`]),
    ...(left.length === 0 ? [] : [`may answer otherwise than the primary (${left.join('; ')})`]),
  ]
}

/** What a node is, and how it differs from the primary. */
export function describeNode(facts: NodeFacts, primary: NodeFacts | undefined): string {
  const role = facts.isStandby ? 'replica' : 'primary'
  const parts = [role, `PostgreSQL ${facts.version}`, `timeline ${facts.timeline}`]
  if (facts.isStandby && primary !== undefined) {
    const bytes = primary.walPosition - facts.walPosition
    parts.push(bytes > 0n ? `${bytes} bytes behind` : 'up to date')
    parts.push(...differences(primary, facts))
  }
  return parts.join(', ')
}
