import { Command } from 'commander'
import { lookupFunctionDdl } from '../auth/role-sql.ts'
import { configJsonSchema } from '../config/json-schema.ts'
import { configReference } from '../config/reference.ts'
import type { CommandIo } from './command-io.ts'

/** `pgsplit config`: what a configuration may contain, for editors and for people. */
export function configCommand(io: CommandIo): Command {
  return new Command('config')
    .description('print the configuration reference or its JSON Schema')
    .option('--schema', 'print the JSON Schema')
    .option('--reference', 'print the reference as Markdown (default)')
    .option('--lookup-sql', 'print the SQL of the function for auth.lookup')
    .action((flags: { readonly schema?: true; readonly lookupSql?: true }) => {
      if (flags.schema) return io.print(JSON.stringify(configJsonSchema(), null, 2))
      io.print(flags.lookupSql ? lookupFunctionDdl.trimEnd() : configReference())
    })
}
