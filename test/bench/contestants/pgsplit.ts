import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import packageJson from '../../../package.json' with { type: 'json' }
import { freePort } from '../../../src/embedded/free-port.ts'
import { type Arena, type Contestant, startProgram } from '../contestant.ts'

/** pgsplit in a process of its own, with everything on. */
export function startPgsplit(arena: Arena): Promise<Contestant | null> {
  return start(arena, fileURLToPath(new URL('../../../', import.meta.url)), 'pgsplit')
}

/** The same from another checkout; null when none was asked for. */
export async function startBefore(arena: Arena): Promise<Contestant | null> {
  return arena.before === null ? null : start(arena, arena.before, 'before')
}

async function start(arena: Arena, root: string, name: string): Promise<Contestant | null> {
  const cli = join(root, 'src/cli.ts')
  if (!existsSync(cli)) return null
  const { cluster, pgsplitArguments } = arena
  const port = await freePort()
  const program = await startProgram(
    arena,
    name,
    [
      process.execPath,
      cli,
      'serve',
      '--primary',
      cluster.primary.url,
      ...cluster.replicas.flatMap(({ url }) => ['--replica', url]),
      '--listen',
      `127.0.0.1:${port}`,
      '--auth',
      'trust',
      '--log-level',
      'warn',
      ...pgsplitArguments,
    ],
    { port, database: cluster.database },
    // The checkout may lie where the servers' account cannot read.
    true,
  )
  const more = pgsplitArguments.length === 0 ? '' : `, ${pgsplitArguments.join(' ')}`
  return {
    ...program,
    name,
    version: `${name === 'pgsplit' ? '' : `${name}: `}pgsplit ${packageJson.version} on Node.js ${process.versions.node}`,
    port,
    setup: `defaults, primary and ${cluster.replicas.length} replicas${more}`,
    maxClients: 2000,
    database: () => cluster.database,
  }
}
