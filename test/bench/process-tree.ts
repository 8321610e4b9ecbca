import { readdirSync, readFileSync } from 'node:fs'

/** `/proc/PID/stat` counts in USER_HZ, which is 100 on every Linux ("proc(5)"). */
const ticksPerSecond = 100

interface Stat {
  readonly parent: number
  /** Own user and system time, and that of children it has waited for. */
  readonly ticks: number
}

/**
 * Seconds of CPU, user and system, that a process and its descendants have used, threads and
 * children that ended included: their time moves to the parent that waits for them.
 */
export function cpuSeconds(root: number): number {
  const stats = readStats()
  return (
    tree(root, stats).reduce((sum, pid) => sum + (stats.get(pid)?.ticks ?? 0), 0) / ticksPerSecond
  )
}

/** Resident bytes of a process and its descendants; shared pages count by share (PSS) if known. */
export function residentBytes(root: number): number {
  return tree(root, readStats()).reduce((sum, pid) => sum + memoryOf(pid), 0)
}

/** `/proc/PID/stat` behind the program's name, which may contain blanks and parentheses. */
export function parseStat(text: string): Stat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  // Field numbers of proc(5) less 3: ppid 4; utime, stime, cutime and cstime 14 to 17.
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  return { parent: Number(fields[1]), ticks }
}

function readStats(): Map<number, Stat> {
  const stats = new Map<number, Stat>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      stats.set(Number(entry), parseStat(readFileSync(`/proc/${entry}/stat`, 'utf8')))
    } catch {
      // it ended meanwhile; its parent has its time now
    }
  }
  return stats
}

function tree(root: number, stats: ReadonlyMap<number, Stat>): number[] {
  const found = new Set([root])
  for (let before = 0; before < found.size; ) {
    before = found.size
    for (const [pid, { parent }] of stats) if (found.has(parent)) found.add(pid)
  }
  return [...found]
}

function memoryOf(pid: number): number {
  return (
    kilobytes(`/proc/${pid}/smaps_rollup`, 'Pss') ?? kilobytes(`/proc/${pid}/status`, 'VmRSS') ?? 0
  )
}

function kilobytes(file: string, name: string): number | null {
  try {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'utf8'))?.[1]
    return found === undefined ? null : Number(found) * 1024
  } catch {
    return null
  }
}
