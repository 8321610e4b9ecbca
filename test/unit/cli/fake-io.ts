import { PassThrough } from 'node:stream'
import type { CommandIo } from '../../../src/cli/command-io.ts'
import { type Parts, run } from '../../../src/cli/run.ts'

const unused = async (): Promise<never> => {
  throw new Error('not a part of this test')
}

/** Runs a command line in this process: what it printed, complained of and ended with. */
export class FakeProcess {
  readonly out: string[] = []
  readonly err: string[] = []
  readonly stdin = new PassThrough()
  readonly #listeners = new Set<() => void>()
  readonly #reloaders = new Set<() => void>()
  #parts: Parts

  constructor(parts: Partial<Parts> = {}) {
    this.#parts = { start: unused, openJudge: unused, demo: unused, ...parts }
  }

  run(argv: readonly string[], env: CommandIo['env'] = {}): Promise<number> {
    const io: CommandIo = {
      env,
      stdin: this.stdin,
      print: (line) => this.out.push(line),
      complain: (line) => this.err.push(line),
      onStopSignal: (heard) => {
        this.#listeners.add(heard)
        return () => this.#listeners.delete(heard)
      },
      onReloadSignal: (heard) => {
        this.#reloaders.add(heard)
        return () => this.#reloaders.delete(heard)
      },
    }
    return run(argv, io, this.#parts)
  }

  /** What SIGTERM or Ctrl-C does. */
  interrupt(): void {
    for (const heard of this.#listeners) heard()
  }

  /** What SIGHUP does. */
  hangUp(): void {
    for (const heard of this.#reloaders) heard()
  }

  get listenerCount(): number {
    return this.#listeners.size
  }
}
