import { Command } from 'commander'
import type { Config } from '../config/config.ts'
import { type ConfigFlags, configFromFlags } from '../config/config-from-flags.ts'
import { formatListenAddress } from '../config/listen-address.ts'
import { createLogger, type Logger } from '../log.ts'
import type { CommandIo } from './command-io.ts'
import { withConfigOptions } from './config-options.ts'

/** What serve needs of a running proxy. */
export interface Running {
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  /** With `drain`, requests in flight get `limits.drainTimeout` to finish. */
  stop(options: { readonly drain: boolean }): Promise<void>
}

export type Start = (config: Config, logger: Logger) => Promise<Running>

/** `pgsplit serve`: runs until SIGTERM or SIGINT, then drains; a second signal ends it at once. */
export function serveCommand(io: CommandIo, start: Start): Command {
  return withConfigOptions(new Command('serve'))
    .description('run the proxy until SIGTERM or Ctrl-C')
    .action(async (flags: ConfigFlags) => {
      const config = configFromFlags(flags, { env: io.env })
      const logger = createLogger(config.log)
      const signals = stopSignals(io)
      const proxy = await Promise.race([start(config, logger), signals.first])
      if (proxy === undefined) return
      const where = proxy.addresses.map(formatListenAddress).join(', ')
      logger.info({ event: 'listening' }, `pgsplit listens on ${where}`)
      await signals.first
      logger.info({ event: 'stopping', reason: 'signal' }, 'stopping; requests may finish')
      const atOnce = signals.second.then(() => proxy.stop({ drain: false }))
      await Promise.race([proxy.stop({ drain: true }), atOnce])
      const reason = signals.count() > 1 ? 'second_signal' : 'drained'
      signals.forget()
      logger.info({ event: 'stopped', reason }, 'stopped')
    })
}

function stopSignals(io: CommandIo) {
  const first = Promise.withResolvers<undefined>()
  const second = Promise.withResolvers<undefined>()
  let heard = 0
  const forget = io.onStopSignal(() => {
    heard += 1
    const one = heard === 1 ? first : second
    one.resolve(undefined)
  })
  return { first: first.promise, second: second.promise, count: () => heard, forget }
}
