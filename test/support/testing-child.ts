/**
 * Starts servers with the provider of PGSPLIT_TEST_PROVIDER, prints the connection strings of the
 * servers, and waits to be killed.
 */
import { ReplicatedPostgresContainer, startEmbedded } from '../../src/testing/index.ts'

const initSql = 'CREATE TABLE item (id int)'
const postgres =
  process.env.PGSPLIT_TEST_PROVIDER === 'containers'
    ? await new ReplicatedPostgresContainer(process.env.PGSPLIT_TEST_IMAGE)
        .withInitSql(initSql)
        .start()
    : await startEmbedded({ initSql })
console.log(JSON.stringify([postgres.primaryUri, ...postgres.replicaUris]))
setInterval(() => {}, 60_000)
