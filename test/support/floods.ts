import { type ChildProcess, fork } from 'node:child_process'
import { setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { EmbeddedCluster } from '../../src/embedded/embedded-cluster.ts'
import type { FloodJob, ProcessFacts, Turns } from './flood-child.ts'

export const floodChild = fileURLToPath(new URL('./flood-child.ts', import.meta.url))

function told<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`it ended with ${code}`))
    child.once('exit', ended)
    child.once('message', (message) => {
      child.off('exit', ended)
      resolve(message as T)
    })
  })
}

async function end(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.send('stop')
  await ended
}

/** What floods call, in `database`. */
export const floodSchema = `CREATE FUNCTION say_notices(n int) RETURNS void LANGUAGE plpgsql AS
   'BEGIN FOR i IN 1..n LOOP RAISE NOTICE ''again''; END LOOP; END'`

/** A pgsplit in a process of its own, that tells how it is. */
export class FloodedProxy {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  /** In front of `cluster`, which anybody may enter; `file`: `flood-child.ts` of another tree. */
  static async start(cluster: EmbeddedCluster, file = floodChild): Promise<FloodedProxy> {
    const { primary, replicas, password } = cluster
    const proxy = {
      listen: ['127.0.0.1:0'],
      log: { level: 'silent' },
      clusters: {
        main: {
          primary: { url: primary.url, name: 'primary' },
          replicas: replicas.map(({ url }, i) => ({ url, name: `r${i + 1}` })),
          auth: { method: 'trust', users: [{ name: 'postgres', password }] },
        },
      },
    }
    const child = fork(file, [JSON.stringify({ proxy })], { execArgv: ['--expose-gc'] })
    const { port } = await told<{ port: number }>(child)
    return new FloodedProxy(child, port)
  }

  /** How it is, after a garbage collection. */
  ask(): Promise<ProcessFacts> {
    return this.#say('ask')
  }

  /** Its turns in the second to come. */
  turns(): Promise<Turns> {
    return this.#say('turns')
  }

  stop(): Promise<void> {
    return end(this.#child)
  }

  #say<T>(what: string): Promise<T> {
    const answered = told<T>(this.#child)
    this.#child.send(what)
    return answered
  }
}

/**
 * Begins a flood, and gives what ends it. `isElsewhere`: who floods is on other machines, and here has
 * what the rest leaves.
 */
export async function startFlood(
  flood: FloodJob,
  isElsewhere = false,
): Promise<() => Promise<void>> {
  const child = fork(floodChild, [JSON.stringify({ flood })])
  if (isElsewhere && child.pid !== undefined) setPriority(child.pid, 19)
  await told(child)
  return () => end(child)
}
