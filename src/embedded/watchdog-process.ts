import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * A process that outlives this one to clean up behind it: `program` reads lines from its standard
 * input, whose end without a last line `done` means that this process is gone, however it went.
 */
export class WatchdogProcess {
  readonly #process: ChildProcess

  /** `program` is a module beside the caller's, by its name in the source: `new URL('./x.ts', …)`. */
  constructor(program: URL, args: readonly string[], env: NodeJS.ProcessEnv) {
    // the compiler rewrites the endings of imports only
    const isSource = import.meta.url.endsWith('.ts')
    const path = isSource ? fileURLToPath(program) : fileURLToPath(program).replace(/\.ts$/, '.js')
    this.#process = spawn(process.execPath, ['--no-warnings', path, ...args], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env,
    })
    this.#process.on('error', () => {})
    this.#process.stdin?.on('error', () => {})
    this.#process.unref()
    // Node has no types for it, but a pipe to a child is a socket that can let the process end
    unref(this.#process.stdin)
  }

  tell(line: string): void {
    this.#process.stdin?.write(`${line}\n`)
  }

  /** Tells it that nothing is left to clean up, and resolves when it is gone. */
  async dismiss(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.ref()
    this.#process.stdin?.end('done\n')
    await ended
  }
}

function unref(stream: unknown): void {
  const socket = stream as { unref?: () => void } | null
  socket?.unref?.()
}
