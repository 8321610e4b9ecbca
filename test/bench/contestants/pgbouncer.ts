import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../../src/embedded/free-port.ts'
import { type Arena, type Contestant, startProgram } from '../contestant.ts'
import { findProgram } from '../find-program.ts'

/** The first version whose transaction mode knows prepared statements. */
const preparedSince = 1.21

/** PgBouncer in front of the primary (it splits nothing); null when it is not installed. */
export async function startPgBouncer(arena: Arena): Promise<Contestant | null> {
  const path = findProgram('pgbouncer', ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin'])
  if (path === null) return null
  const version = /PgBouncer (\d+\.\d+)/.exec(
    execFileSync(path, ['--version'], { encoding: 'utf8' }),
  )?.[1]
  const knowsPrepared = Number(version) >= preparedSince
  const { cluster, scratch } = arena
  const port = await freePort()
  const server = `host=127.0.0.1 port=${cluster.primary.port} user=postgres dbname=${cluster.database}`
  const file = join(scratch.path, 'pgbouncer.ini')
  const text = [
    '[databases]',
    `bench = ${server} pool_mode=transaction`,
    `bench_session = ${server} pool_mode=session pool_size=100`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'max_client_conn = 2000',
    // The client that opens a pool must not wait for a slot longer than pgbench does.
    'default_pool_size = 20',
    'ignore_startup_parameters = extra_float_digits',
    ...(knowsPrepared ? ['max_prepared_statements = 200'] : []),
    'log_connections = 0',
    'log_disconnections = 0',
    '',
  ].join('\n')
  writeFileSync(file, text, { mode: 0o644 })
  const program = await startProgram(arena, 'pgbouncer', [path, file], { port, database: 'bench' })
  return {
    ...program,
    name: 'PgBouncer',
    version: `PgBouncer ${version ?? '?'}`,
    port,
    setup: knowsPrepared
      ? 'transaction mode, 20 server connections to the primary'
      : `transaction mode, 20 server connections to the primary; prepared: session mode, since ${version} knows no prepared statements in transaction mode`,
    maxClients: 2000,
    database: (protocol) => (protocol === 'prepared' && !knowsPrepared ? 'bench_session' : 'bench'),
  }
}
