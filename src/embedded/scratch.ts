import { type ChildProcess, spawn } from 'node:child_process'
import { chownSync, mkdtempSync, realpathSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Account } from './account.ts'
import { EmbeddedError } from './embedded-error.ts'
import { endProcessesUnder, removeCluster } from './processes.ts'

const WATCHDOG = fileURLToPath(new URL('./watchdog.ts', import.meta.url))
// the compiler rewrites the endings of imports only
const PROGRAM = import.meta.url.endsWith('.ts') ? WATCHDOG : WATCHDOG.replace(/\.ts$/, '.js')

/**
 * The temporary directory of one cluster, which does not outlive this process: a watchdog process
 * ends what runs in it and removes it when this process is gone, even by SIGKILL.
 */
export class Scratch {
  readonly path: string
  readonly #watchdog: ChildProcess
  readonly #programs: number[] = []

  constructor(account: Account | undefined) {
    this.path = realpathSync(mkdtempSync(join(temporaryRoot(account), 'pgsplit-')))
    this.#watchdog = spawn(process.execPath, ['--no-warnings', PROGRAM, this.path], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {},
    })
    this.#watchdog.on('error', () => {})
    this.#watchdog.stdin?.on('error', () => {})
    this.#watchdog.unref()
    // Node has no types for it, but a pipe to a child is a socket that can let the process end
    unref(this.#watchdog.stdin)
    if (account !== undefined) chownSync(this.path, account.uid, account.gid)
  }

  /** Tells the watchdog of a program that was started in the directory. */
  entrust(program: ChildProcess): void {
    if (program.pid === undefined) return
    this.#programs.push(program.pid)
    this.#watchdog.stdin?.write(`${program.pid}\n`)
  }

  /** Ends every process in the directory, removes it, and dismisses the watchdog. */
  async remove(): Promise<void> {
    await endProcessesUnder(this.path, this.#programs)
    await removeCluster(this.path)
    if (this.#watchdog.exitCode !== null || this.#watchdog.signalCode !== null) return
    const ended = new Promise((resolve) => this.#watchdog.once('exit', resolve))
    this.#watchdog.ref()
    this.#watchdog.stdin?.end('done\n')
    await ended
  }
}

function unref(stream: unknown): void {
  const socket = stream as { unref?: () => void } | null
  socket?.unref?.()
}

function temporaryRoot(account: Account | undefined): string {
  if (process.platform === 'win32') {
    throw new EmbeddedError(
      'the embedded cluster runs on Linux and macOS; on Windows start it in WSL, or point pgsplit at servers of your own',
    )
  }
  // A path of a Unix socket has at most 103 bytes on macOS, 107 on Linux, and macOS gives every
  // user a long directory of his own.
  const own = tmpdir()
  return own.length <= 60 && (account === undefined || isOpenToAll(own)) ? own : '/tmp'
}

/** Whether any account may go through the directory, and every directory above it. */
function isOpenToAll(path: string): boolean {
  const open = (statSync(path).mode & 0o001) !== 0
  return open && (path === dirname(path) || isOpenToAll(dirname(path)))
}
