import { createInterface } from 'node:readline'
import { endProcessesUnder, removeCluster } from './processes.ts'

/**
 * The watchdog's main program, a process of its own: `node watchdog.ts <directory>`. Its standard
 * input is a pipe from the process that started the cluster, which writes the pid of every program
 * it starts, one per line, and `done` when it has cleaned up itself. The end of the input without
 * `done` means that the process is gone, however it went: then everything that works under the
 * directory is ended and the directory is removed.
 */
const [directory] = process.argv.slice(2)
const roots: number[] = []
let done = false

// Ctrl-C reaches only the foreground process group, but a `kill` may hit anyone: nothing but the
// end of the parent, or its word, ends the watchdog.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  if (line === 'done') done = true
  else if (/^\d+$/.test(line)) roots.push(Number(line))
})
lines.on('close', async () => {
  if (!done && directory !== undefined && directory !== '/') {
    await endProcessesUnder(directory, roots)
    await removeCluster(directory)
  }
  process.exit(0)
})
