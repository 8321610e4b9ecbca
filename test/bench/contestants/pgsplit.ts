import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import packageJson from '../../../package.json' with { type: 'json' }
import { freePort } from '../../../src/embedded/free-port.ts'
import { type Arena, type Contestant, startProgram } from '../contestant.ts'

const cli = fileURLToPath(new URL('../../../src/cli.ts', import.meta.url))

/** pgsplit in a process of its own, with everything on; null while there is no command line. */
export async function startPgsplit(arena: Arena): Promise<Contestant | null> {
  if (!existsSync(cli)) return null
  const { cluster, pgsplitArguments } = arena
  const port = await freePort()
  const program = await startProgram(
    arena,
    'pgsplit',
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
    name: 'pgsplit',
    version: `pgsplit ${packageJson.version} on Node.js ${process.versions.node}`,
    port,
    setup: `defaults, primary and ${cluster.replicas.length} replicas${more}`,
    maxClients: 2000,
    database: () => cluster.database,
  }
}
