import type { ChildProcess } from 'node:child_process'
import { chownSync, mkdtempSync, realpathSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Account } from './account.ts'
import { EmbeddedError } from './embedded-error.ts'
import { endProcessesUnder, removeCluster } from './processes.ts'
import { WatchdogProcess } from './watchdog-process.ts'

const WATCHDOG = new URL('./watchdog.ts', import.meta.url)

/**
 * The temporary directory of one cluster, which does not outlive this process: a watchdog process
 * ends what runs in it and removes it when this process is gone, even by SIGKILL.
 */
export class Scratch {
  readonly path: string
  readonly #watchdog: WatchdogProcess
  readonly #programs: number[] = []

  constructor(account: Account | undefined) {
    this.path = realpathSync(mkdtempSync(join(temporaryRoot(account), 'pgsplit-')))
    this.#watchdog = new WatchdogProcess(WATCHDOG, [this.path], {})
    if (account !== undefined) chownSync(this.path, account.uid, account.gid)
  }

  /** Tells the watchdog of a program that was started in the directory. */
  entrust(program: ChildProcess): void {
    if (program.pid === undefined) return
    this.#programs.push(program.pid)
    this.#watchdog.tell(String(program.pid))
  }

  /** Ends every process in the directory, removes it, and dismisses the watchdog. */
  async remove(): Promise<void> {
    await endProcessesUnder(this.path, this.#programs)
    await removeCluster(this.path)
    await this.#watchdog.dismiss()
  }
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
