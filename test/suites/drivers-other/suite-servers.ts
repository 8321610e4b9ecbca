import { homedir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { parseConfig } from '../../../src/config/parse-config.ts'
import { createLogger } from '../../../src/log.ts'
import { startProxy } from '../../../src/proxy.ts'
import { type EmbeddedCluster, startCluster } from '../../support/cluster.ts'

/** Where foreign sources are kept between runs; never inside the repository. */
export const suitesDir =
  process.env.PGSPLIT_TEST_SUITES_DIR ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'pgsplit-suites')

/** Where a suite connects to. */
export interface Target {
  readonly port: number
  readonly password: string
}

/** A primary, two replicas, and pgsplit in front of them with nothing but its default settings. */
export interface SuiteServers {
  readonly direct: Target
  readonly through: Target
  /** Runs statements of one text on the primary. */
  setUp(database: string, text: string): Promise<void>
  stop(): Promise<void>
}

export async function startSuiteServers(binDir: string): Promise<SuiteServers> {
  const cluster: EmbeddedCluster = await startCluster({ binDir })
  const config = parseConfig({
    listen: ['127.0.0.1:0'],
    log: { level: 'silent' },
    clusters: {
      main: {
        primary: { url: cluster.primary.url, name: 'primary' },
        replicas: cluster.replicas.map(({ url }, i) => ({ url, name: `r${i + 1}` })),
      },
    },
  })
  const proxy = await startProxy(config, createLogger({ level: 'silent', format: 'json' }))
  const { password } = cluster
  return {
    direct: { port: cluster.primary.port, password },
    through: { port: proxy.addresses[0]?.port ?? 0, password },
    async setUp(database, text) {
      const client = new pg.Client({ connectionString: cluster.primary.urlFor(database) })
      await client.connect()
      try {
        await client.query(text)
      } finally {
        await client.end()
      }
      await cluster.catchUp()
    },
    async stop() {
      await proxy.stop({ drain: false })
      await cluster.stop()
    },
  }
}
