#!/usr/bin/env node
import { parts } from './cli/parts.ts'
import { run } from './cli/run.ts'

// The reader went away (`pgsplit config | head`): nothing is left to say.
process.stdout.on('error', () => process.exit(0))

const code = await run(
  process.argv.slice(2),
  {
    env: process.env,
    stdin: process.stdin,
    print: (line) => process.stdout.write(`${line}\n`),
    complain: (line) => process.stderr.write(`pgsplit: ${line}\n`),
    onStopSignal: (heard) => {
      process.on('SIGTERM', heard).on('SIGINT', heard)
      return () => process.off('SIGTERM', heard).off('SIGINT', heard)
    },
  },
  parts,
)
// Not only exitCode: a timer that somebody forgot must not keep a stopped proxy alive.
process.exit(code)
