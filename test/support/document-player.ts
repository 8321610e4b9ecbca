import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type Block, commandsOf, readPage } from './documents.ts'
import { type ProgramResult, runProgram } from './run-program.ts'

/** The blocks of a scene on a page, in its order. */
export function blocksOfScene(path: string, scene: string): readonly Block[] {
  return readPage(path).blocks.filter(({ mark }) => mark.kind === 'run' && mark.scene === scene)
}

/** The first block of a language on a page. */
export function firstBlock(path: string, language: string): string {
  const block = readPage(path).blocks.find((one) => one.language === language)
  if (block === undefined) throw new Error(`${path} has no block of ${language}`)
  return block.text
}

/**
 * One shell that runs the commands exactly as printed, one after the other, and ends at the first
 * that fails. What serves goes on behind, until its port accepts, and is stopped at the end. A `psql`
 * that would wait for its user reads `$TALK`.
 */
export function scriptOf(blocks: readonly Block[]): string {
  const commands = blocks.flatMap((block) =>
    commandsOf(block)
      .replaceAll('\\\n', '')
      .split('\n')
      .filter((line) => line.trim() !== ''),
  )
  return [preamble, ...commands.flatMap(steps)].join('\n')
}

const preamble = `set -eu
trap "trap '' TERM; kill -TERM 0; wait" EXIT
await_port() {
  until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
    kill -0 "$2" || exit 1
    sleep 0.1
  done
}
# a database's catalog is read when its first client comes
await_reads() {
  until psql postgresql://demo:demo@127.0.0.1:6432/demo -XAtc \\
    'EXPLAIN (ROUTE) SELECT count(*) FROM orders' | grep -q 'proved read-only'; do
    sleep 0.1
  done
}`

function steps(command: string): string[] {
  const said = `printf '%s\\n' '$ '${quoted(command)}`
  if (/\bpgsplit serve\b|\bnpm run demo$/.test(command)) {
    const splits = command.endsWith('demo') ? ['await_reads'] : []
    return [said, `{ ${command.replace(/ #.*$/, '')}; } &`, 'await_port 6432 $!', ...splits]
  }
  const isTalk = /^(\w+=\S+ )*psql /.test(command) && !/ -[cf] /.test(command)
  return [said, isTalk ? `${command} <"$TALK"` : command]
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/** Runs a script in a folder. With `stage`, in its network. */
export function play(
  script: string,
  directory: string,
  env: Readonly<Record<string, string>> = {},
  stage?: Stage,
): Promise<ProgramResult> {
  const inside = stage === undefined ? [] : ['nsenter', '--target', String(stage.pid), '--net']
  const shell = ['setsid', '--wait', ...inside, 'bash', '-c', script]
  const go = 'cd "$1" && shift && exec "$@"'
  return runProgram('sh', ['-c', go, 'sh', directory, ...shell], env, 300_000)
}

/** Runs `document-stage.ts`. */
export class Stage {
  static readonly password = 'of-the-superuser'
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(): Promise<Stage> {
    const program = new URL('document-stage.ts', import.meta.url).pathname
    const child = spawn('unshare', ['--net', 'node', program, Stage.password], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface(child.stdout)
    const ended = once(child, 'close').then(([code]) => {
      throw new Error(`the stage ended with ${code}`)
    })
    ended.catch(() => {})
    await Promise.race([once(lines, 'line'), ended])
    return new Stage(child)
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'close')
    this.#child.stdin?.end()
    await ended
  }
}
