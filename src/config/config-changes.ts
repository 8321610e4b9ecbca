import type { ClusterConfig, Config } from './config.ts'
import { Secret } from './secret.ts'

export interface ConfigChanges {
  /** What is in force after the reload: the new configuration, but for what needs a restart. */
  readonly config: Config
  /** Paths as in SHOW CONFIG: `clusters.main.pool.size`. */
  readonly changed: readonly string[]
  readonly needsRestart: readonly string[]
}

/** What a running pgsplit keeps when it reads its configuration again; `path` as in SHOW CONFIG. */
export function needsRestart(path: string): boolean {
  return /^(listen|http\.listen|http\.tls\.mode|log\.format|clusters\.[^.]+\.discovery)(\.|$)/.test(
    path,
  )
}

/** What the step from one configuration to the next changes, and what it can't while pgsplit runs. */
export function configChanges(now: Config, next: Config): ConfigChanges {
  const known = new Set(now.clusters.map(({ name }) => name))
  const others = new Map(next.clusters.map((cluster) => [cluster.name, cluster]))
  const restart = [
    ...[...others.keys()].filter((name) => !known.has(name)),
    ...[...known].filter((name) => !others.has(name)),
  ].map((name) => `clusters.${name}`)
  const clusters = now.clusters.map((cluster) => {
    const other = others.get(cluster.name)
    return other === undefined ? cluster : mergeCluster(cluster, other, restart)
  })
  for (const path of differences(pick(now), pick(next))) restart.push(path)
  const config: Config = {
    ...next,
    clusters,
    listen: now.listen,
    http: mergeHttp(now.http, next.http),
    log: { level: next.log.level, format: now.log.format },
  }
  return { config, changed: differences(now, config), needsRestart: restart }
}

/** What needs a restart. */
function pick({ listen, http, log }: Config) {
  return {
    listen: textOf(listen),
    http: http === null ? {} : { listen: textOf(http.listen), tls: { mode: http.tls.mode } },
    log: { format: log.format },
  }
}

function textOf(addresses: Config['listen']): string {
  return addresses.map(({ host, port }) => `${host}:${port}`).join()
}

/** The door stays where it is, and is opened or closed only by a restart. */
function mergeHttp(now: Config['http'], next: Config['http']): Config['http'] {
  if (now === null || next === null) return now
  const { mode } = now.tls
  // Its files belong to the mode that they were given for.
  const tls = mode === next.tls.mode ? next.tls : now.tls
  return { ...next, listen: now.listen, tls }
}

/** Discovered nodes come and go by themselves; where they are looked for is settled at start. */
function mergeCluster(now: ClusterConfig, next: ClusterConfig, restart: string[]): ClusterConfig {
  const path = `clusters.${now.name}`
  if (now.discovery === null && next.discovery === null) return next
  if (differences(now.discovery, next.discovery).length > 0) restart.push(`${path}.discovery`)
  if (differences(now.nodes, next.nodes).length > 0) restart.push(`${path}.nodes`)
  return { ...next, discovery: now.discovery, nodes: now.nodes }
}

function differences(one: unknown, other: unknown): string[] {
  const before = flatten(one)
  const after = flatten(other)
  const paths = new Set([...before.keys(), ...after.keys()])
  return [...paths].filter((path) => before.get(path) !== after.get(path))
}

function flatten(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  if (value instanceof Secret) into.set(path, value.reveal())
  else if (value === null || typeof value !== 'object') {
    if (value !== undefined) into.set(path, String(value))
  } else {
    for (const [key, part] of Object.entries(value)) {
      const isNamed = Array.isArray(value) && part !== null && typeof part === 'object'
      const name = isNamed && 'name' in part ? String(part.name) : key
      flatten(part, path === '' ? name : `${path}.${name}`, into)
    }
  }
  return into
}
