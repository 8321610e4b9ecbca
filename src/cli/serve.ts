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
  /** Resolves when it has stopped, whoever wanted that. */
  readonly stopped: Promise<void>
  /** Reads the configuration again; logs and throws what is wrong with it, and changes nothing then. */
  reload(reason: 'signal'): unknown
  /** With `drain`, requests in flight get `limits.drainTimeout` to finish. */
  stop(options: { readonly drain: boolean }): Promise<void>
}

export type Start = (config: Config, logger: Logger, readConfig: () => Config) => Promise<Running>

/**
 * `pgsplit serve`: runs until SIGTERM, SIGINT or SHUTDOWN, then drains; a second signal ends it at
 * once. SIGHUP reads the configuration again.
 */
export function serveCommand(io: CommandIo, start: Start): Command {
  return withConfigOptions(new Command('serve'))
    .description('run the proxy until SIGTERM or Ctrl-C')
    .action(async (flags: ConfigFlags) => {
      const readConfig = (): Config => configFromFlags(flags, { env: io.env })
      const config = readConfig()
      const logger = createLogger(config.log)
      const signals = stopSignals(io)
      let running: Running | null = null
      let isHungUp = false
      const hear = (): void => {
        isHungUp = running === null
        try {
          running?.reload('signal')
        } catch {
          // It is in the log, and pgsplit goes on as it was.
        }
      }
      signals.onReload(hear)
      const proxy = await Promise.race([start(config, logger, readConfig), signals.first])
      if (proxy === undefined) return
      running = proxy
      // What came while it was starting counts, too.
      if (isHungUp) hear()
      const where = proxy.addresses.map(formatListenAddress).join(', ')
      logger.info({ event: 'listening' }, `pgsplit listens on ${where}`)
      await Promise.race([signals.first, proxy.stopped])
      if (signals.count() === 0) {
        signals.forget()
        logger.info({ event: 'stopped', reason: 'operator' }, 'stopped')
        return
      }
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
  const offStop = io.onStopSignal(() => {
    heard += 1
    const one = heard === 1 ? first : second
    one.resolve(undefined)
  })
  let offReload = (): void => {}
  const onReload = (listener: () => void): void => {
    offReload = io.onReloadSignal(listener)
  }
  const forget = (): void => {
    offStop()
    offReload()
  }
  return { first: first.promise, second: second.promise, count: () => heard, onReload, forget }
}
