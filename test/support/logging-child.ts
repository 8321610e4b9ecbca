/**
 * Logs as many lines as it is told to, says `done` on standard output, and stays until SIGTERM;
 * with `SIGUSR2` it logs one more line.
 */
import { createLogger } from '../../src/log.ts'

const lines = Number(process.argv[2])
const logger = createLogger({ level: 'info', format: 'json' })
for (let n = 1; n <= lines; n++) logger.info({ event: 'test', n }, 'x'.repeat(100))
const stays = setInterval(() => {}, 60_000)
process.on('SIGUSR2', () => logger.info({ event: 'test', n: 0 }, 'one more'))
process.on('SIGTERM', () => {
  logger.info({ event: 'stopped' }, 'stopped')
  clearInterval(stays)
  process.exit(0)
})
process.stdout.write('done\n')
