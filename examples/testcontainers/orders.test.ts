/** `npm run example:testcontainers`: node:test; Vitest and Jest take the same calls. */
import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import type { ReplicatedPostgres } from '../../src/testing/index.ts'
import { Orders } from './orders.ts'
import { startPostgres } from './start-postgres.ts'

let postgres: ReplicatedPostgres
let orders: Orders

before(async () => {
  postgres = await startPostgres()
  orders = new Orders(postgres.uri)
})
after(async () => {
  await orders?.close()
  await postgres?.stop()
})

it('counts its orders on the replicas', async () => {
  await orders.place('coffee')
  await postgres.waitForReplay()
  assert.equal(await orders.count(), 1)
  const reads = postgres.nodes().filter(({ role, reads }) => role === 'replica' && reads > 0)
  assert.ok(reads.length > 0)
})

it('goes on while a replica is away', async () => {
  await postgres.killReplica(0)
  assert.equal(await orders.count(), 1)
  await postgres.startReplica(0)
})

it('shows old data when it reads from replicas that lag', async () => {
  await postgres.pauseReplay()
  await orders.place('tea')
  const [row] = await postgres.replicaSql(0, 'SELECT count(*)::int AS n FROM orders')
  assert.deepEqual(row, { n: 1 })
  await postgres.resumeReplay()
  await postgres.waitForReplay()
})

it('loses no order when the primary dies and a replica takes over', async () => {
  await postgres.killPrimary()
  await postgres.promote(0)
  await orders.place('cake')
  await postgres.rejoin()
  await postgres.waitForReplay()
  assert.equal(await orders.count(), 3)
})
