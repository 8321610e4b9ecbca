/** `node test/corpus/record-catalog.ts`: writes `catalog-15.json` from a PostgreSQL 15 of its own. */
import { writeFileSync } from 'node:fs'
import pg from 'pg'
import { loadCatalog, prepareConnection } from '../../src/catalog/load-catalog.ts'
import { debianBinDir, loadCorpusSchema, startCluster } from '../support/cluster.ts'
import { catalogJson } from './recorded-catalog.ts'

const binDir = debianBinDir()
if (binDir === null) throw new Error('no PostgreSQL 15 in /usr/lib/postgresql/15/bin')
const cluster = await startCluster({ binDir, replicas: 0 })
try {
  await loadCorpusSchema(cluster)
  const client = new pg.Client({ connectionString: cluster.primary.urlFor(cluster.database) })
  await client.connect()
  await prepareConnection(client)
  const json = catalogJson(await loadCatalog(client))
  await client.end()
  writeFileSync(new URL('catalog-15.json', import.meta.url), json)
} finally {
  await cluster.stop()
}
