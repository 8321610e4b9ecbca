import { execFile } from 'node:child_process'
import { appendFile, chown, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Account } from './account.ts'
import type { Binaries } from './binaries.ts'
import { EmbeddedError, reasonOf } from './embedded-error.ts'
import type { EmbeddedNode } from './embedded-node.ts'
import { loadPg } from './load-pg.ts'
import type { Scratch } from './scratch.ts'

const INITDB_TIMEOUT_MS = 120_000
const run = promisify(execFile)

/** Files that our settings live in, read after initdb's own and each before the next. */
const SETTINGS_FILES = ['pgsplit.conf', 'node.conf', 'standby.conf']

/** What must not be copied from a running server ("Backing Up the Data Directory"). */
const NOT_CLONED = ['postmaster.pid', 'postmaster.opts', 'standby.signal', 'standby.conf']
const EMPTY_IN_CLONE = ['pg_replslot', 'pg_dynshmem', 'pg_stat_tmp', 'pg_notify', 'pg_wal']

/** Creates a data directory with the superuser `postgres`. */
export async function createDataDirectory(
  dataDir: string,
  password: string,
  {
    binaries,
    account,
    scratch,
  }: { binaries: Binaries; account: Account | undefined; scratch: Scratch },
): Promise<void> {
  const passwordFile = join(scratch.path, 'password')
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
  if (account !== undefined) await chown(passwordFile, account.uid, account.gid)
  const options = ['-U', 'postgres', '-E', 'UTF8', '--locale=C', '-A', 'scram-sha-256', '-N']
  try {
    const initdb = run(binaries.initdb, ['-D', dataDir, ...options, `--pwfile=${passwordFile}`], {
      cwd: scratch.path,
      env: binaries.env,
      timeout: INITDB_TIMEOUT_MS,
      ...as(account),
    })
    scratch.entrust(initdb.child)
    await initdb
  } catch (error) {
    throw new EmbeddedError(`initdb failed: ${complaint(error)}`, error)
  } finally {
    await rm(passwordFile, { force: true })
  }
  await appendFile(
    join(dataDir, 'postgresql.conf'),
    SETTINGS_FILES.map((file) => `include_if_exists '${file}'\n`).join(''),
  )
}

/**
 * Copies the data directory of a server that doesn't run. A copy has the same system identifier,
 * which makes it a replica as soon as it has a `standby.signal`.
 */
export async function cloneStopped(
  from: string,
  to: string,
  { account, scratch }: { account: Account | undefined; scratch: Scratch },
): Promise<void> {
  try {
    const copy = run('cp', ['-a', from, to], {
      cwd: scratch.path,
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
      ...as(account),
    })
    scratch.entrust(copy.child)
    await copy
  } catch (error) {
    // a running server removes files while they are being copied
    const lines = complaint(error, '\n').split('\n')
    if (!lines.every((line) => line.endsWith('No such file or directory'))) {
      throw new EmbeddedError(`cannot copy ${from}: ${lines.join('; ')}`, error)
    }
  }
}

/**
 * Copies the data directory of a running primary under its low-level backup functions
 * ("Making an Exclusive/Non-Exclusive Low-Level Backup"); the WAL since then must be kept by a
 * replication slot.
 */
export async function cloneRunning(
  primary: EmbeddedNode,
  to: string,
  where: { account: Account | undefined; scratch: Scratch; socketDir: string; password: string },
): Promise<void> {
  // both functions must be called in one session
  const { Client } = await loadPg()
  const client = new Client({
    host: where.socketDir,
    port: primary.port,
    user: 'postgres',
    password: where.password,
    database: 'postgres',
  })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query("SELECT pg_backup_start('pgsplit clone', true)")
    await cloneStopped(primary.dataDir, to, where)
    const { rows } = await client.query<{ labelfile: string }>(
      'SELECT labelfile FROM pg_backup_stop(false)',
    )
    for (const name of NOT_CLONED) await rm(join(to, name), { force: true })
    for (const name of EMPTY_IN_CLONE) await removeFiles(join(to, name))
    const label = join(to, 'backup_label')
    await writeFile(label, rows[0]?.labelfile ?? '', { mode: 0o600 })
    if (where.account !== undefined) await chown(label, where.account.uid, where.account.gid)
  } finally {
    await client.end().catch(() => {})
  }
}

/** Empties a directory but keeps `pg_wal/archive_status` and `pg_wal/summaries`. */
async function removeFiles(directory: string): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true })
  const keep = directory.endsWith('pg_wal')
  for (const entry of entries) {
    if (keep && entry.isDirectory()) continue
    await rm(join(directory, entry.name), { recursive: true, force: true })
  }
}

function as(account: Account | undefined): { uid?: number; gid?: number } {
  return account === undefined ? {} : { uid: account.uid, gid: account.gid }
}

/** What a failed program said on its standard error. */
function complaint(error: unknown, separator = ' '): string {
  const { stderr } = error as { stderr?: string }
  const text = stderr === undefined || stderr.trim() === '' ? reasonOf(error) : stderr
  return text.trim().split('\n').join(separator)
}
