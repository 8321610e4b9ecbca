#!/usr/bin/env node
// Nothing is imported before the version is known: an older Node.js fails while it links modules.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 22)) {
  process.stderr.write(
    `pgsplit: needs Node.js 22.22 or later, this is ${process.version}; install a current Node.js\n`,
  )
  process.exit(1)
}

const { parts } = await import('./cli/parts.ts')
const { run } = await import('./cli/run.ts')

// The reader went away (`pgsplit config | head`): nothing is left to say.
process.stdout.on('error', () => process.exit(0))
// A full disk or a closed pipe behind standard error ends nothing.
process.stderr.on('error', () => {})

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
    onReloadSignal: (heard) => {
      process.on('SIGHUP', heard)
      return () => process.off('SIGHUP', heard)
    },
  },
  parts,
)
// Not only exitCode: a timer that somebody forgot must not keep a stopped proxy alive.
process.exit(code)

export {}
