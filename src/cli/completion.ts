import { Argument, Command } from 'commander'
import { packageVersion } from '../config/version.ts'
import type { CommandIo } from './command-io.ts'
import { commandShapes } from './command-shape.ts'
import { completionScript, type Shell, shells } from './completion-script.ts'
import { manPage } from './man-page.ts'

/** `pgsplit completion`: what shells and man read, made of the commands themselves. */
export function completionCommand(io: CommandIo, program: Command): Command {
  return new Command('completion')
    .description('print completions for a shell, or the manual page')
    .addArgument(new Argument('<what>', 'bash, zsh, fish or man').choices([...shells, 'man']))
    .action((what: Shell | 'man') => {
      const commands = commandShapes(program)
      const text =
        what === 'man'
          ? manPage(program.description(), packageVersion(), commands)
          : completionScript(what, commands)
      io.print(text.trimEnd())
    })
}
