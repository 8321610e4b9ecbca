// installed: from 'pgsplit/testing'
import {
  type ReplicatedPostgres,
  ReplicatedPostgresContainer,
  startEmbedded,
} from '../../src/testing/index.ts'

const initSql = 'CREATE TABLE orders (id serial PRIMARY KEY, item text NOT NULL)'

/** A primary and two replicas in containers, or without an engine as processes of this machine. */
export async function startPostgres(): Promise<ReplicatedPostgres> {
  try {
    const image = process.env.PGSPLIT_TEST_IMAGE ?? 'postgres:17'
    const postgres = await new ReplicatedPostgresContainer(image)
      .withReplicas(2)
      .withInitSql(initSql)
      .start()
    console.log(`servers: containers of ${image}`)
    return postgres
  } catch (error) {
    console.log(`servers: not containers, but startEmbedded, because: ${error}`)
    return startEmbedded({ replicas: 2, initSql })
  }
}
