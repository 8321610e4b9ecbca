import { randomBytes } from 'node:crypto'
import { chownSync, mkdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unprivilegedAccount } from './account.ts'
import { embeddedBinDir, prepareBinaries } from './binaries.ts'
import { cloneStopped, createDataDirectory } from './data-directory.ts'
import { EmbeddedCluster } from './embedded-cluster.ts'
import { EmbeddedError } from './embedded-error.ts'
import { EmbeddedNode, type NodeSurroundings } from './embedded-node.ts'
import { freePort } from './free-port.ts'
import { loadPg } from './load-pg.ts'
import { Scratch } from './scratch.ts'
import { hbaText, QUICK_SETTINGS, type ServerSettings } from './server-settings.ts'

export interface EmbeddedOptions {
  /** How many streaming replicas. Default 2, at most 15 (`max_wal_senders`). */
  readonly replicas?: number
  /** Directory with `initdb` and `postgres`. Default: the npm package's for this platform. */
  readonly binDir?: string
  /** Settings of `postgresql.conf` for all nodes, beside or instead of QUICK_SETTINGS. */
  readonly settings?: ServerSettings
  /** A database to create. Default `postgres`. */
  readonly database?: string
  /** The password of `postgres`. Default: a random one. */
  readonly password?: string
  /** The lines of `pg_hba.conf` for TCP. Default: any user with SCRAM, from 127.0.0.1. */
  readonly hba?: readonly string[]
  /** Files in PEM. `caFile` is what client certificates are checked with. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly caFile?: string }
  readonly onProgress?: (step: string) => void
}

const MOST_REPLICAS = 15

/**
 * Starts a real PostgreSQL primary with streaming replicas on loopback, in about a second. Works
 * as root (the servers then run as an unprivileged account) and as a normal user. Whatever way
 * this process ends, neither processes nor files stay behind. Throws EmbeddedError.
 */
export async function startEmbedded(options: EmbeddedOptions = {}): Promise<EmbeddedCluster> {
  const replicas = options.replicas ?? 2
  if (!Number.isInteger(replicas) || replicas < 0 || replicas > MOST_REPLICAS) {
    throw new EmbeddedError(`replicas is ${replicas}; give a number from 0 to ${MOST_REPLICAS}`)
  }
  const binDir = options.binDir ?? embeddedBinDir()
  const account = unprivilegedAccount()
  const scratch = new Scratch(account)
  try {
    const binaries = await prepareBinaries(binDir, account, scratch.path)
    const socketDir = join(scratch.path, 's')
    mkdirSync(socketDir, { mode: 0o700 })
    if (account !== undefined) chownSync(socketDir, account.uid, account.gid)
    return await start(options, replicas, {
      binaries,
      account,
      scratch,
      socketDir,
      password: options.password ?? randomBytes(18).toString('base64url'),
      database: options.database ?? 'postgres',
    })
  } catch (error) {
    await scratch.remove()
    throw error
  }
}

async function start(
  options: EmbeddedOptions,
  count: number,
  surroundings: NodeSurroundings,
): Promise<EmbeddedCluster> {
  const progress = options.onProgress ?? (() => {})
  const primary = new EmbeddedNode('primary', await freePort(), surroundings)
  const replicas: EmbeddedNode[] = []
  for (let i = 1; i <= count; i++) {
    replicas.push(new EmbeddedNode(`replica${i}`, await freePort(), surroundings))
  }

  progress(`creating the data directory (PostgreSQL ${surroundings.binaries.version})`)
  await createDataDirectory(primary.dataDir, surroundings.password, surroundings)
  await primary.writeFiles({ 'pg_hba.conf': hbaText(options.hba) })
  const tls = options.tls === undefined ? {} : await installTls(primary, options.tls)
  await primary.writeSettings('pgsplit.conf', {
    ...QUICK_SETTINGS,
    unix_socket_directories: surroundings.socketDir,
    ...tls,
    ...options.settings,
  })

  if (count > 0) progress(`cloning it for ${count} ${count === 1 ? 'replica' : 'replicas'}`)
  await Promise.all(
    replicas.map(async (replica) => {
      await cloneStopped(primary.dataDir, replica.dataDir, surroundings)
      await replica.writeStandbySettings(primary)
    }),
  )
  for (const node of [primary, ...replicas]) {
    await node.writeSettings('node.conf', { port: String(node.port), cluster_name: node.name })
  }

  progress(`starting the primary on port ${primary.port}`)
  await primary.start()
  for (const replica of replicas) await primary.createSlot(replica.name)
  if (surroundings.database !== 'postgres') {
    const { escapeIdentifier } = await loadPg()
    await primary.query(`CREATE DATABASE ${escapeIdentifier(surroundings.database)}`)
  }

  if (count > 0) {
    progress(`starting the replicas on ports ${replicas.map(({ port }) => port).join(', ')}`)
  }
  await Promise.all(replicas.map((replica) => replica.start()))
  const cluster = new EmbeddedCluster(surroundings, primary, replicas)
  await cluster.catchUp()
  progress('all nodes are up')
  return cluster
}

/** Copies certificate and key: the key's file must belong to the server's account. */
async function installTls(
  primary: EmbeddedNode,
  tls: NonNullable<EmbeddedOptions['tls']>,
): Promise<ServerSettings> {
  const files: Record<string, string> = {
    'server.crt': await readFile(tls.certFile, 'utf8'),
    'server.key': await readFile(tls.keyFile, 'utf8'),
  }
  if (tls.caFile !== undefined) files['root.crt'] = await readFile(tls.caFile, 'utf8')
  await primary.writeFiles(files)
  return {
    ssl: 'on',
    ssl_cert_file: 'server.crt',
    ssl_key_file: 'server.key',
    ...(tls.caFile === undefined ? {} : { ssl_ca_file: 'root.crt' }),
  }
}
