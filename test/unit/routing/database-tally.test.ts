import { describe, expect, it } from 'vitest'
import { newCounters } from '../../../src/routing/counters.ts'
import { DatabaseTally } from '../../../src/routing/database-tally.ts'

describe('DatabaseTally', () => {
  it('counts for its database, and all of them together for the cluster', () => {
    const total = newCounters()
    const [shop, stock] = [new DatabaseTally(total), new DatabaseTally(total)]
    shop.answered(1, true, true, true, 2)
    shop.answered(0, true, false, true, 3)
    stock.answered(0, false, false, false, 5)
    shop.received(10)
    stock.received(1)
    stock.sent(7)
    shop.waited(4)
    stock.retried()
    expect(shop.counts()).toEqual({
      queries: 2,
      transactions: 2,
      readsReplica: 1,
      readsPrimary: 1,
      writes: 0,
      retries: 0,
      received: 10,
      sent: 0,
      waitMs: 4,
      queryMs: 5,
    })
    expect(stock.counts()).toMatchObject({ queries: 1, transactions: 0, writes: 1, retries: 1 })
    expect(total).toMatchObject({
      queries: 3,
      transactions: 2,
      reads: 2,
      writes: 1,
      retries: 1,
      received: 11,
      sent: 7,
      waitMs: 4,
      queryMs: 10,
    })
    expect(total.readsByNode).toEqual([1, 1])
    expect(total.readsReplica).toEqual([undefined, 1])
  })
})
