import { Command, CommanderError } from 'commander'
import { packageVersion } from '../config/version.ts'
import { adviseCommand } from './advise.ts'
import { checkCommand } from './check.ts'
import { type CommandIo, ExitWith } from './command-io.ts'
import { completionCommand } from './completion.ts'
import { configCommand } from './config.ts'
import { type Demo, demoCommand } from './demo.ts'
import { errorLine } from './error-line.ts'
import { explainCommand, type OpenJudge } from './explain.ts'
import { forecastCommand } from './forecast.ts'
import { initCommand } from './init.ts'
import { type Start, serveCommand } from './serve.ts'
import { setupCommand } from './setup.ts'

/** The parts of pgsplit that commands set going. */
export interface Parts {
  readonly start: Start
  readonly openJudge: OpenJudge
  readonly demo: Demo
}

/**
 * Runs one command line, without the program's name, and gives the exit code: 0, 2 for a command
 * line that is none, or 1, both after one line on standard error. Never rejects. `PGSPLIT_DEBUG=1` adds the stack.
 */
export async function run(argv: readonly string[], io: CommandIo, parts: Parts): Promise<number> {
  const program = new Command('pgsplit')
    .description('PostgreSQL proxy that sends writes to the primary and proved reads to replicas')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.print(text.replace(/\n$/, '')),
      writeErr: (text) => io.print(text.replace(/\n$/, '')),
      outputError: (text) => io.complain(errorLine(text.replace(/^error: /, '').trim())),
    })
  const commands = [
    serveCommand(io, parts.start),
    demoCommand(io, parts.demo),
    setupCommand(io),
    initCommand(io),
    checkCommand(io),
    explainCommand(io, parts.openJudge),
    adviseCommand(io),
    forecastCommand(io),
    configCommand(io),
    completionCommand(io, program),
  ]
  for (const command of commands) {
    program.addCommand(command.copyInheritedSettings(program))
  }
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return 0
  } catch (error) {
    return exitCodeOf(error, io)
  }
}

function exitCodeOf(error: unknown, io: CommandIo): number {
  if (error instanceof ExitWith) return error.code
  // As for other programs, 2 is for what was typed wrong.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  io.complain(errorLine(error))
  if (io.env.PGSPLIT_DEBUG === '1' && error instanceof Error) io.complain(error.stack ?? '')
  return 1
}
