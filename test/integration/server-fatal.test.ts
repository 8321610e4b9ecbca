import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { RawClient } from '../support/raw-client.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster({ database: 'fatal', replicas: 1 })
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** What a client hears after these texts until its connection ends. */
async function lastWords(port: number, texts: readonly string[]): Promise<string> {
  const { password } = cluster
  const client = await RawClient.logIn({ port, user: 'postgres', password, database: 'fatal' })
  for (const text of texts) await client.query(text)
  const heard = await client.until('E')
  await client.closed()
  return heard.map(({ type, body }) => `${type} ${body.toString('latin1')}`).join('\n')
}

describe('a server that ends a session by a timeout of its own', () => {
  it.each([
    ["SET idle_in_transaction_session_timeout = '200ms'", 'BEGIN', 'CREATE TEMP TABLE t ()'],
    ["SET idle_in_transaction_session_timeout = '200ms'", 'BEGIN READ ONLY', 'SELECT 1'],
    ["SET idle_session_timeout = '200ms'", 'CREATE TEMP TABLE t ()'],
    ["SET transaction_timeout = '200ms'", 'BEGIN', 'CREATE TEMP TABLE t ()'],
  ])('is heard as directly: %s', async (...texts) => {
    const direct = await lastWords(cluster.primary.port, texts)
    expect(direct).toContain('FATAL')
    expect(await lastWords(proxy.port, texts)).toBe(direct)
  })
})
