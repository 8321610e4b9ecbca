import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * The processes that work in `directory` or below it. A postmaster and all its children have their
 * data directory as working directory ("postmaster.c", ChangeToDataDir), which finds them even
 * when the postmaster is dead; every child also is a process group of its own.
 *
 * Where there is no /proc (macOS), the descendants of `roots` and who names the directory in its
 * command line.
 */
export function processesUnder(directory: string, roots: readonly number[] = []): number[] {
  if (process.platform !== 'linux') return fromProcessList(directory, roots)
  const found: number[] = []
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    const cwd = workingDirectory(pid)
    if (cwd === directory || cwd?.startsWith(`${directory}/`)) found.push(pid)
  }
  return found
}

function workingDirectory(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`).replace(/ \(deleted\)$/, '')
  } catch {
    return undefined
  }
}

function fromProcessList(directory: string, roots: readonly number[]): number[] {
  const list = execFileSync('ps', ['-axo', 'pid=,ppid=,command='], { encoding: 'utf8' })
  const found = new Set(roots)
  for (const line of list.split('\n')) {
    const [, pid, parent, command = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []
    if (pid === undefined || Number(pid) === process.pid) continue
    const named = command.includes(`-D ${directory}/`) || command.endsWith(`-D ${directory}`)
    if (named || found.has(Number(parent))) found.add(Number(pid))
  }
  return [...found].filter(isAlive)
}

/** Sends `signal` to each process that still exists. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // it ended meanwhile
    }
  }
}

/** Whether the process exists; one that nobody has waited for yet counts as ended. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    if (process.platform !== 'linux') return true
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/**
 * Ends everything that works under `directory`, for good: SIGQUIT, so that the postmasters give
 * their shared memory back (an immediate shutdown), and SIGKILL after `graceMs`.
 */
export async function endProcessesUnder(
  directory: string,
  roots: readonly number[],
  graceMs = 3000,
): Promise<void> {
  const still = () => processesUnder(directory, roots.filter(isAlive)).filter(isAlive)
  signalAll(still(), 'SIGQUIT')
  // a frozen process sees no signal until it runs again
  signalAll(still(), 'SIGCONT')
  const deadline = performance.now() + graceMs
  while (still().length > 0 && performance.now() < deadline) await sleep(10)
  const killDeadline = performance.now() + graceMs
  while (still().length > 0 && performance.now() < killDeadline) {
    signalAll(still(), 'SIGKILL')
    await sleep(10)
  }
}

/** Removes the directory of a cluster whose processes have ended, and what they left elsewhere. */
export async function removeCluster(directory: string): Promise<void> {
  let entries: string[] = []
  try {
    entries = readdirSync(directory)
  } catch {
    // already gone
  }
  for (const entry of entries) removeSharedMemory(join(directory, entry))
  for (let attempt = 0; ; attempt++) {
    try {
      rmSync(directory, { recursive: true, force: true })
      return
    } catch (error) {
      if (attempt === 20) throw error
      await sleep(50)
    }
  }
}

/**
 * Gives back the System V segment of a postmaster that was killed: its id is the second number in
 * line 7 of postmaster.pid ("miscadmin.h", LOCK_FILE_LINE_SHMEM_KEY). A postmaster that ended by
 * itself has removed both the segment and the file.
 */
function removeSharedMemory(dataDir: string): void {
  try {
    const lines = readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')
    const id = lines[6]?.trim().split(/\s+/)[1]
    if (id !== undefined && /^\d+$/.test(id)) {
      execFileSync('ipcrm', ['-m', id], { stdio: 'ignore', timeout: 2000 })
    }
  } catch {
    // no such file, no such segment, or no ipcrm: 56 bytes at most
  }
}
