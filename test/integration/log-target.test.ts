import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'

const program = new URL('../support/logging-child.ts', import.meta.url).pathname
const lines = 20_000
const children = new Set<ChildProcess>()

afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
})

/** The program with that as its standard error. */
function start(stderr: number | 'pipe'): ChildProcess {
  const child = spawn(process.execPath, [program, String(lines)], {
    stdio: ['ignore', 'pipe', stderr],
  })
  children.add(child)
  return child
}

/** It has logged all, and is still there. */
async function done(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('exit', (code, signal) => reject(new Error(`it ended: ${code ?? signal}`)))
  })
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.once('exit', (code) => resolve(code))
  })
}

async function stops(child: ChildProcess): Promise<void> {
  const end = ended(child)
  child.kill('SIGTERM')
  expect(await end).toBe(0)
}

/** All that a target got: lines of the program, and how many are told to be missing. */
class Reader {
  #text = ''
  readonly #child: ChildProcess

  constructor(child: ChildProcess, stream: Socket) {
    this.#child = child
    stream.on('data', (chunk) => {
      this.#text += chunk
    })
  }

  get accounted(): number {
    const whole = this.#text.slice(0, this.#text.lastIndexOf('\n') + 1)
    let count = 0
    for (const line of whole.split('\n').filter((text) => text !== '')) {
      const { event, n, lines: missing } = JSON.parse(line)
      if (event === 'log_lines_dropped') count += missing
      else if (n > 0) count++
    }
    return count
  }

  get tellsLoss(): boolean {
    return this.#text.includes('log_lines_dropped')
  }

  async hasAll(): Promise<void> {
    await expect.poll(() => this.accounted).toBe(lines)
    expect(this.tellsLoss).toBe(true)
    this.#child.kill('SIGUSR2')
    await expect.poll(() => this.#text).toContain('one more')
  }
}

describe('the log', () => {
  it('goes on where standard error is on a full disk', async () => {
    const full = openSync('/dev/full', 'w')
    const child = start(full)
    closeSync(full)
    await done(child)
    await stops(child)
  })

  it('waits for no pipe that nobody empties, and tells what was dropped once it is emptied', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pgsplit-log-'))
    const path = join(directory, 'pipe')
    execFileSync('mkfifo', [path])
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const writer = openSync(path, 'w')
    const child = start(writer)
    closeSync(writer)
    await done(child)
    const stream = new Socket({ fd: reader, readable: true, writable: false })
    await new Reader(child, stream).hasAll()
    await stops(child)
    stream.destroy()
    rmSync(directory, { recursive: true })
  })

  it('ends at once on SIGTERM while the pipe is full', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pgsplit-log-'))
    const path = join(directory, 'pipe')
    execFileSync('mkfifo', [path])
    const both = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    const child = start(both)
    await done(child)
    await stops(child)
    closeSync(both)
    rmSync(directory, { recursive: true })
  })

  it('waits for no socket, and tells what was dropped', async () => {
    // Node.js gives its children socket pairs.
    const child = start('pipe')
    await done(child)
    const stream = child.stderr as Socket
    await new Reader(child, stream).hasAll()
    await stops(child)
  })

  it('goes on where the reader has gone', async () => {
    const child = start('pipe')
    child.stderr?.destroy()
    await done(child)
    await stops(child)
  })
})
