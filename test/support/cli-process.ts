import { type ChildProcess, spawn } from 'node:child_process'

const cli = new URL('../../src/cli.ts', import.meta.url).pathname

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** `pgsplit …` as a process of its own. */
export class CliProcess {
  readonly #child: ChildProcess
  readonly #texts = { out: '', err: '' }
  readonly ended: Promise<Ended>

  constructor(args: readonly string[], input = '', env: Readonly<Record<string, string>> = {}) {
    const child = spawn(process.execPath, [cli, ...args], { env: { ...process.env, ...env } })
    this.#child = child
    child.stdout.on('data', (chunk) => {
      this.#texts.out += chunk
    })
    child.stderr.on('data', (chunk) => {
      this.#texts.err += chunk
    })
    child.stdin.end(input)
    this.ended = new Promise((resolve) => {
      child.on('close', (code) => resolve({ code, ...this.#texts }))
    })
  }

  /** What it has written to standard error so far: the log of serve. */
  get log(): string {
    return this.#texts.err
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }
}
