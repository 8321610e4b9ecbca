import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { runProgram } from './run-program.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs `docker …` to its end; gives its standard output, trimmed. Throws with what it said if it failed. */
export async function docker(...args: string[]): Promise<string> {
  return (await run('docker', args)).trim()
}

/** Runs a script of `.ci/containers` and gives its standard output. */
export const containerScript = (name: string): Promise<string> =>
  run(`${root}/.ci/containers/${name}`, [], {}, 300_000)

async function run(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  timeoutMs = 180_000,
): Promise<string> {
  const { code, out, err } = await runProgram(file, args, env, timeoutMs)
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${code}: ${err}${out}`)
  return out
}

const works = (file: string, ...args: string[]): boolean =>
  spawnSync(file, args, { stdio: 'ignore', timeout: 20_000 }).status === 0

/** Why the tests of `docker/` can't run here, or null. */
export function whyNoCompose(): string | null {
  if (!works('docker', 'version')) return 'no container engine answers'
  return composeCommand() === null ? 'neither docker compose nor docker-compose is installed' : null
}

function composeCommand(): readonly [string, ...string[]] | null {
  if (works('docker', 'compose', 'version')) return ['docker', 'compose']
  return works('docker-compose', 'version') ? ['docker-compose'] : null
}

/** `docker/compose.yml` under a project's name of its own. */
export class ComposeProject {
  readonly #name: string
  readonly #env: Readonly<Record<string, string>>

  constructor(name: string, env: Readonly<Record<string, string>>) {
    this.#name = name
    this.#env = env
  }

  async run(...args: string[]): Promise<string> {
    const [file, ...first] = composeCommand() ?? ['docker-compose']
    return run(file, [...first, '-p', this.#name, '-f', `${root}/docker/compose.yml`, ...args], {
      ...this.#env,
    })
  }

  /** The id of a service's container, running or not. */
  async container(service: string): Promise<string> {
    const label = (key: string, value: string) => `label=com.docker.compose.${key}=${value}`
    const filters = [label('project', this.#name), label('service', service)]
    return docker('ps', '-aq', ...filters.flatMap((filter) => ['--filter', filter]))
  }

  /** One answer of a service's server, asked by its superuser over its own socket. */
  async ask(service: string, sql: string): Promise<string> {
    return docker('exec', await this.container(service), 'psql', '-U', 'postgres', '-Atc', sql)
  }

  /** Reads a field of `docker inspect`, given as a Go template. */
  async inspect(service: string, template: string): Promise<string> {
    return docker('inspect', '-f', template, await this.container(service))
  }
}
