/**
 * What attacks can make pgsplit hold: never more than docs/behaviour/failover.md says, by the kernel's
 * word, and it goes with those who attacked.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, sql, startCluster, waitFor } from '../support/cluster.ts'
import type { FloodName } from '../support/flood-child.ts'
import { FloodedProxy, floodSchema, startFlood } from '../support/floods.ts'

const mb = 2 ** 20
/** Of a client: what is read ahead, one statement, and what it is told. */
const perClient = 1.25 * mb
const longStatements = 256 * mb
/** What the runtime takes by itself while it works, and what the allocator keeps of what is freed. */
const ofRuntime = 224 * mb

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ database: 'flooded', replicas: 1 })
  await sql(cluster.primary.urlFor('flooded'), floodSchema)
  await cluster.catchUp()
})
afterAll(() => cluster?.stop())

/** Until pgsplit has read so much of it, bytes. */
const floods: Readonly<Partial<Record<FloodName, number>>> = {
  Sync: 2 * mb,
  'empty queries': 2 * mb,
  NOTICEs: 8 * mb,
  'prepared names': mb,
  'half-sent queries': 300 * mb,
  'long comments': 300 * mb,
  'wrong cancels': 20_000,
  'half log-ins': 20_000,
}

describe('what an attack makes pgsplit hold', () => {
  it.each(Object.entries(floods))('is bounded, and given back: %s', async (what, bytes = 0) => {
    const addresses = 250
    const proxy = await FloodedProxy.start(cluster)
    try {
      const before = await proxy.ask()
      const stopFlood = await startFlood({
        what: what as FloodName,
        port: proxy.port,
        database: 'flooded',
        addresses,
      })
      await waitFor(`${bytes} bytes of ${what} to be read`, async () => {
        const { bytesRead } = await proxy.ask()
        return bytesRead - before.bytesRead > bytes
      })
      await stopFlood()
      const { peakRss } = await proxy.ask()
      expect(peakRss - before.rss).toBeLessThan(longStatements + addresses * perClient + ofRuntime)
      const kept = before.buffers + 8 * mb
      await waitFor('it to be given back', async () => {
        const { buffers, rss } = await proxy.ask()
        if (buffers < kept && rss < before.rss + ofRuntime) return true
        throw new Error(`${buffers / mb} MB in buffers, ${rss / mb} MB resident`)
      })
    } finally {
      await proxy.stop()
    }
  })
})
