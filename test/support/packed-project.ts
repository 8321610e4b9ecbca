import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ProgramResult, runProgram } from './run-program.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A project outside of the checkout: nothing there is found by looking upwards. */
export class PackedProject {
  readonly directory = mkdtempSync(join(tmpdir(), 'pgsplit-package-'))
  /** Files in the package. */
  files: readonly string[] = []
  tarball = ''

  constructor() {
    this.write('package.json', '{ "private": true, "type": "module" }')
  }

  /** Packs pgsplit and installs it, with packages of npm such as `pg@8.16.0`. */
  async install(...packages: readonly string[]): Promise<void> {
    const options = ['--pack-destination', this.directory, '--json']
    const answer: unknown = JSON.parse(
      (await this.succeed('npm', 'pack', root, ...options)).replace(/^[^[{]*(?=[[{])/, ''),
    )
    const [packed] = Object.values(
      answer as Record<string, { filename: string; files: { path: string }[] }>,
    )
    this.files = packed?.files.map(({ path }) => path) ?? []
    this.tarball = join(this.directory, packed?.filename ?? '')
    await this.add(this.tarball, ...packages)
  }

  /** `npm install`, from npm's cache where it has them. Its output. */
  add(...packages: readonly string[]): Promise<string> {
    const options = ['--prefer-offline', '--no-audit', '--no-fund']
    return this.succeed('npm', 'install', ...options, ...packages)
  }

  /** Runs a program in the project. */
  run(file: string, ...args: readonly string[]): Promise<ProgramResult> {
    return runProgram(
      'sh',
      ['-c', 'cd "$1" && shift && exec "$@"', 'sh', this.directory, file, ...args],
      {},
      300_000,
    )
  }

  /** The same; rejects unless it exits with 0. What it has printed. */
  async succeed(file: string, ...args: readonly string[]): Promise<string> {
    const { code, out, err } = await this.run(file, ...args)
    if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${code}: ${err}${out}`)
    return out
  }

  /** Lends the project a package of the checkout's, with its own dependencies. */
  lend(name: string): void {
    const link = join(this.directory, 'node_modules', name)
    if (existsSync(link)) return
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), link)
  }

  write(name: string, text: string): void {
    const file = join(this.directory, name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}
