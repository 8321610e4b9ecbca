import { describe, expect, it } from 'vitest'
import { HeldConnections } from '../../../src/client/held-connections.ts'
import type { NodePool } from '../../../src/pool/node-pool.ts'
import type { ServerConnection } from '../../../src/server/server-connection.ts'

const to = (nodeIndex: number) => ({ nodeIndex }) as ServerConnection
const pool = {} as NodePool<ServerConnection>

describe('the server connections that a session holds', () => {
  it('are its lease, until that is given up', () => {
    const held = new HeldConnections()
    const connection = to(1)
    expect([held.lease, held.pool]).toEqual([null, null])
    held.take(connection, pool)
    expect([held.lease, held.pool]).toEqual([connection, pool])
    expect(held.giveUp(connection)).toBe(pool)
    expect([held.lease, held.pool]).toEqual([null, null])
  })

  it('are those that are kept, one for each node, used or not', () => {
    const held = new HeldConnections()
    const [primary, replica] = [to(0), to(1)]
    expect([held.keptAt(0), held.isKept(primary), held.giveUpKept()]).toEqual([null, false, []])
    for (const connection of [primary, replica]) {
      held.take(connection, pool)
      held.keep(connection, connection === primary)
    }
    expect([held.keptAt(0), held.keptAt(1), held.home]).toEqual([primary, replica, primary])
    expect(held.rest()).toBe(pool)
    expect([held.lease, held.isKept(replica)]).toEqual([null, true])
    held.take(replica, pool)
    expect(held.giveUpKept()).toEqual([primary])
    expect([held.home, held.isKept(primary), held.isKept(replica)]).toEqual([null, false, true])
    held.giveUp(replica)
    expect([held.lease, held.giveUpKept()]).toEqual([null, []])
  })

  it('are the one that is parked, to which it goes back', () => {
    const held = new HeldConnections()
    held.park()
    expect([held.parked, held.unpark()]).toEqual([null, null])
    const connection = to(2)
    held.take(connection, pool)
    held.park()
    expect([held.lease, held.pool, held.parked]).toEqual([null, null, { connection, pool }])
    expect(held.unpark()).toBe(connection)
    expect([held.lease, held.pool, held.parked]).toEqual([connection, pool, null])
    held.park()
    expect(held.giveUpParked()).toEqual({ connection, pool })
    expect([held.lease, held.parked]).toEqual([null, null])
  })
})
