import { loadCatalog, prepareConnection } from '../catalog/load-catalog.ts'
import type { ClusterConfig, NodeConfig } from '../config/config.ts'
import { ConfigError } from '../errors.ts'
import { connectNode } from '../node-client.ts'
import { Classifier } from '../sql/classifier.ts'
import { errorLine } from './error-line.ts'
import type { Judgement } from './explain.ts'

const statementTimeoutMs = 30_000

/** Loads the catalog of a database from the primary once, and judges statements by it. */
export async function openLiveJudge(
  primary: NodeConfig,
  cluster: ClusterConfig,
  database: string,
): Promise<(sql: string) => Judgement> {
  const classifier = new Classifier()
  try {
    classifier.setCatalog(await readCatalog(primary, cluster, database))
  } catch (error) {
    throw new ConfigError('', `can't read the primary's catalog: ${errorLine(error)}`, error)
  }
  return (sql) => {
    const bytes = Buffer.from(sql)
    // As a message would be: PostgreSQL reads a text up to its first zero byte.
    const zero = bytes.indexOf(0)
    const end = zero < 0 ? bytes.length : zero
    const { verdict, reason, pin, hint } = classifier.classify(bytes, 0, end, 'standard')
    return { verdict, reason, pin: pin?.why ?? null, hint }
  }
}

async function readCatalog(primary: NodeConfig, cluster: ClusterConfig, database: string) {
  const { connectTimeoutMs } = cluster.pool
  const client = await connectNode(primary, { database, connectTimeoutMs, statementTimeoutMs })
  try {
    await prepareConnection(client)
    return await loadCatalog(client)
  } finally {
    client.end()
  }
}
