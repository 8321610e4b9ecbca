/** A primary, two replicas and pgsplit for as long as psql plays `tour.sql`. Needs psql. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { configFromFlags } from '../../src/config/config-from-flags.ts'
import {
  DEMO_DATABASE,
  DEMO_PASSWORD,
  DEMO_USER,
  fillSampleData,
} from '../../src/demo/sample-data.ts'
import { startEmbedded } from '../../src/embedded/start-embedded.ts'
import { createLogger, startProxy } from '../../src/index.ts'

const tour = fileURLToPath(new URL('tour.sql', import.meta.url))
const cluster = await startEmbedded({
  replicas: 2,
  database: DEMO_DATABASE,
  onProgress: console.log,
})
try {
  await fillSampleData(cluster.primary)
  await cluster.catchUp()
  const config = configFromFlags({
    primary: cluster.primary.urlFor('postgres'),
    replica: cluster.replicas.map((replica) => replica.urlFor('postgres')),
    listen: ['127.0.0.1:0'],
    logLevel: 'warn',
    logFormat: 'pretty',
  })
  const proxy = await startProxy(config, createLogger(config.log))
  const port = proxy.addresses[0]?.port
  const url = `postgresql://${DEMO_USER}:${DEMO_PASSWORD}@127.0.0.1:${port}/${DEMO_DATABASE}`
  console.log(`psql ${url} -f ${tour}\n`)
  const psql = spawn('psql', ['-X', url, '-f', tour], { stdio: 'inherit' })
  process.exitCode = await new Promise<number>((resolve) => {
    psql.on('error', ({ message }) => {
      console.error(`psql can't be started (${message}); Debian: postgresql-client`)
      resolve(1)
    })
    psql.on('close', (code) => resolve(code ?? 1))
  })
  await proxy.stop({ drain: false })
} finally {
  await cluster.stop()
}
