import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../../src/embedded/free-port.ts'
import { settingsText } from '../../../src/embedded/server-settings.ts'
import { type Arena, type Contestant, startProgram } from '../contestant.ts'
import { findProgram } from '../find-program.ts'

/** It forks this many processes, one per client. */
const children = 80

/** Pgpool-II with load balancing over primary and replicas; null when it is not installed. */
export async function startPgpool(arena: Arena): Promise<Contestant | null> {
  const path = findProgram('pgpool', ['/usr/sbin', '/usr/local/bin'])
  if (path === null) return null
  const version = versionOf(path)
  const { cluster, scratch } = arena
  const port = await freePort()
  const nodes = cluster.nodes.flatMap((node, index) => [
    [`backend_hostname${index}`, '127.0.0.1'],
    [`backend_port${index}`, String(node.port)],
    [`backend_weight${index}`, '1'],
    [`backend_data_directory${index}`, node.dataDir],
    [`backend_flag${index}`, 'DISALLOW_TO_FAILOVER'],
  ])
  // 4.4 renamed the directories of its sockets.
  const [socketDir, pcpSocketDir] =
    Number(version) >= 4.4
      ? ['unix_socket_directories', 'pcp_socket_dir']
      : ['socket_dir', 'pcp_socket_dir']
  const conf = join(scratch.path, 'pgpool.conf')
  const settings = {
    backend_clustering_mode: 'streaming_replication',
    listen_addresses: '127.0.0.1',
    port: String(port),
    pcp_port: String(await freePort()),
    [socketDir]: scratch.path,
    [pcpSocketDir]: scratch.path,
    pid_file_name: join(scratch.path, 'pgpool.pid'),
    logdir: scratch.path,
    num_init_children: String(children),
    max_pool: '1',
    load_balance_mode: 'on',
    enable_pool_hba: 'off',
    pool_passwd: '',
    sr_check_period: '10',
    sr_check_user: 'postgres',
    health_check_period: '0',
    use_watchdog: 'off',
    log_min_messages: 'warning',
    ...Object.fromEntries(nodes),
  }
  writeFileSync(conf, settingsText(settings), { mode: 0o644 })
  const empty = join(scratch.path, 'pgpool-empty.conf')
  writeFileSync(empty, '', { mode: 0o644 })
  const program = await startProgram(
    arena,
    'pgpool',
    [path, '-n', '-f', conf, '-F', empty, '-a', empty],
    { port, database: cluster.database },
  )
  return {
    ...program,
    name: 'Pgpool-II',
    version: `Pgpool-II ${version}`,
    port,
    setup: `streaming replication mode, load balancing over all nodes, ${children} processes`,
    maxClients: children - 5,
    database: () => cluster.database,
  }
}

/** It writes its version to standard error. */
function versionOf(path: string): string {
  const { stdout, stderr } = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 5000 })
  return /version (\d+\.\d+)/.exec(`${stdout}${stderr}`)?.[1] ?? '?'
}
