import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from './account.ts'
import type { Binaries } from './binaries.ts'
import { EmbeddedError } from './embedded-error.ts'
import { processesUnder, signalAll } from './processes.ts'
import type { Scratch } from './scratch.ts'
import { waitUntil } from './wait-until.ts'

/** smart waits for the clients, fast disconnects them, immediate is a crash ("pg_ctl"). */
export type StopMode = 'smart' | 'fast' | 'immediate'

const STOP_SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const
const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 20_000

export interface PostmasterOptions {
  readonly name: string
  readonly dataDir: string
  readonly logFile: string
  readonly binaries: Binaries
  readonly account: Account | undefined
  readonly scratch: Scratch
}

/** The processes of one server: the postmaster and its children. */
export class Postmaster {
  readonly #options: PostmasterOptions
  #process: ChildProcess | undefined
  #frozen: readonly number[] = []
  /** Where in the log file the last start began. */
  #logStart = 0

  constructor(options: PostmasterOptions) {
    this.#options = options
  }

  get pid(): number | undefined {
    return this.isRunning ? this.#process?.pid : undefined
  }

  get isRunning(): boolean {
    const child = this.#process
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null
  }

  async start(timeoutMs = START_TIMEOUT_MS): Promise<void> {
    if (this.isRunning) return
    const { name, dataDir, logFile, binaries, account, scratch } = this.#options
    // left behind by a kill; the server's own check may take a foreign process for the old one
    await rm(join(dataDir, 'postmaster.pid'), { force: true })
    const log = openSync(logFile, 'a')
    this.#logStart = fstatSync(log).size
    const child = spawn(binaries.postgres, ['-D', dataDir], {
      cwd: scratch.path,
      env: binaries.env,
      detached: true,
      stdio: ['ignore', log, log],
      ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
    })
    closeSync(log)
    scratch.entrust(child)
    child.unref()
    let failure: Error | undefined
    child.once('error', (error) => {
      failure = error
    })
    this.#process = child
    this.#frozen = []
    await waitUntil(
      `server ${name} to accept connections`,
      () => {
        if (this.isRunning && failure === undefined) return isReady(dataDir)
        throw new EmbeddedError(
          `server ${name} did not start: ${failure?.message ?? this.complaint()}`,
          failure,
        )
      },
      timeoutMs,
    )
  }

  async stop(mode: StopMode, timeoutMs = STOP_TIMEOUT_MS): Promise<void> {
    if (this.pid === undefined) return
    signalAll([this.pid], STOP_SIGNALS[mode])
    this.thaw()
    try {
      const what = `server ${this.#options.name} to stop`
      await waitUntil(what, () => !this.isRunning, timeoutMs)
    } catch {
      await this.kill()
    }
  }

  async kill(): Promise<void> {
    const { name, dataDir } = this.#options
    if (this.pid !== undefined) signalAll([this.pid], 'SIGKILL')
    const left = () => processesUnder(dataDir, this.pid === undefined ? [] : [this.pid])
    await waitUntil(
      `the processes of server ${name} to be gone`,
      () => {
        signalAll(left(), 'SIGKILL')
        return !this.isRunning && left().length === 0
      },
      STOP_TIMEOUT_MS,
    )
    this.#frozen = []
  }

  freeze(): void {
    if (this.pid === undefined) return
    // the postmaster first, so that no child is born behind our back
    signalAll([this.pid], 'SIGSTOP')
    this.#frozen = processesUnder(this.#options.dataDir, [this.pid])
    signalAll(this.#frozen, 'SIGSTOP')
  }

  thaw(): void {
    signalAll(this.#frozen, 'SIGCONT')
    this.#frozen = []
  }

  /** The last lines of the log. */
  async logTail(lines: number): Promise<string> {
    const text = await readFile(this.#options.logFile, 'utf8').catch(() => '')
    return text.trimEnd().split('\n').slice(-lines).join('\n')
  }

  /** What the server complained of since its last start, in one line. */
  complaint(): string {
    try {
      return complaints(readFileSync(this.#options.logFile, 'utf8').slice(this.#logStart))
    } catch {
      return 'it has no log'
    }
  }
}

const CHATTER = /starting PostgreSQL|listening on|is shut down|was shut down|redirecting log/

/** The last few lines of a log that tell of a failure, without their time stamps. */
export function complaints(log: string): string {
  const lines = log
    .split('\n')
    .map((line) => line.replace(/^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\] /, '').trim())
    .filter((line) => line !== '' && !CHATTER.test(line))
  return lines.slice(-4).join('; ') || 'its log says nothing'
}

/** Line 8 of postmaster.pid is the postmaster's status ("pidfile.h", LOCK_FILE_LINE_PM_STATUS). */
function isReady(dataDir: string): boolean {
  try {
    return readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[7]?.trim() === 'ready'
  } catch {
    return false
  }
}
