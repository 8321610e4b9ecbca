import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { unprivilegedAccount } from '../../src/embedded/account.ts'
import type { Scratch } from '../../src/embedded/scratch.ts'
import type { EmbeddedCluster } from '../support/cluster.ts'
import { waitFor } from '../support/wait-for.ts'
import { RawClient } from './raw-client.ts'

export type Protocol = 'simple' | 'extended' | 'prepared'

export interface Contestant {
  readonly name: string
  readonly version: string
  readonly port: number
  /** Root of its process tree; null for the direct connection. */
  readonly pid: number | null
  /** One line on how it was set up, for the report. */
  readonly setup: string
  /** How many clients it was made for. */
  readonly maxClients: number
  database(protocol: Protocol): string
  stop(): Promise<void>
}

/** What a contestant is started in. */
export interface Arena {
  readonly cluster: EmbeddedCluster
  /** Temporary directory that does not outlive this process, nor does what runs in it. */
  readonly scratch: Scratch
  /** More arguments for `pgsplit serve`. */
  readonly pgsplitArguments: readonly string[]
  /** Another checkout of pgsplit; null = none. */
  readonly before: string | null
}

export interface Program {
  readonly pid: number
  stop(): Promise<void>
}

/**
 * Starts a program with its working directory in the arena and waits until a client can log in.
 * Throws with the end of its log if it does not come up.
 */
export async function startProgram(
  arena: Arena,
  name: string,
  command: readonly [program: string, ...string[]],
  login: { readonly port: number; readonly database: string },
  asRoot = false,
): Promise<Program> {
  const account = asRoot ? undefined : unprivilegedAccount()
  const logFile = join(arena.scratch.path, `${name}.log`)
  const log = openSync(logFile, 'a')
  // The shell raises the limit of open files for 1,000 idle clients; exec keeps the pid.
  const raise = 'ulimit -n 16384 2>/dev/null || ulimit -n "$(ulimit -Hn)"; exec "$@"'
  const child = spawn('/bin/sh', ['-c', raise, 'sh', ...command], {
    cwd: arena.scratch.path,
    stdio: ['ignore', log, log],
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
  })
  closeSync(log)
  arena.scratch.entrust(child)
  const pid = child.pid
  if (pid === undefined) throw new Error(`${command[0]} could not be started`)
  const stop = () => stopProgram(child)
  try {
    const state = await waitFor(`${name} to let a client in`, () => look(child, login), 20_000, 100)
    if (state === 'ended') throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`)
  } catch (error) {
    await stop()
    const tail = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-8).join('\n')
    throw new Error(`${name} did not start: ${String(error)}\n${tail}`)
  }
  return { pid, stop }
}

async function look(
  child: ChildProcess,
  login: { readonly port: number; readonly database: string },
): Promise<'open' | 'ended'> {
  if (hasEnded(child)) return 'ended'
  const client = await RawClient.connect(login.port, login.database)
  client.end()
  return 'open'
}

/** SIGTERM, and SIGKILL after 5 s. */
async function stopProgram(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
  await ended
  clearTimeout(timer)
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
