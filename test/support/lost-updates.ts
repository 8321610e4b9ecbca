import type { Consistency } from '../../src/consistency.ts'
import type { OpenClient } from './history-client.ts'
import { oneOf, type Random } from './seeded-numbers.ts'

/** What came of counters that were read, raised by one and written back. */
export interface Raised {
  /** Counters with how often raising them was acknowledged. */
  readonly acknowledged: ReadonlyMap<number, number>
  /** Counters that nobody uses any more, as it isn't known whether the last write of them was done. */
  readonly doubtful: ReadonlySet<number>
  readonly operations: number
}

interface Raising {
  readonly doors: readonly OpenClient[]
  readonly consistency: Consistency
  readonly clients: number
  readonly randomOf: (client: number) => Random
  /** Counters that are raised at a time; their table has rows of 0 for many more. */
  readonly counters: number
  /** Asked with how many there were so far, and how many of them read what was not the latest. */
  readonly isOver: (operations: number, stale: number) => boolean
}

/**
 * Read-modify-write by many clients, one at a time for each counter, under a lock that the application
 * holds: the database is asked for none, so that each must see what the one before it has committed. As
 * with a pool, each reads on one connection and writes on another: one that writes has, by its own last
 * write, seen all that was written before it, whoever wrote that.
 */
export async function raiseCounters(given: Raising): Promise<Raised> {
  const acknowledged = new Map<number, number>()
  const doubtful = new Set<number>()
  const free = Array.from({ length: given.counters }, (_, k) => k)
  let next = given.counters
  let operations = 0
  let stale = 0
  const work = async (random: Random): Promise<void> => {
    const open = () => oneOf(random, given.doors)(given.consistency, () => {})
    let reader = await open()
    let writer = await open()
    while (!given.isOver(operations, stale)) {
      const k = free.splice(random(free.length), 1)[0]
      if (k === undefined) throw new Error('there are fewer counters than clients')
      let isWriting = false
      try {
        const { rows } = await reader.query({
          text: 'SELECT v FROM counter WHERE k = $1',
          values: [k],
        })
        const [{ v }] = rows as [{ v: number }]
        isWriting = true
        await writer.query({
          text: 'UPDATE counter SET v = $1 WHERE k = $2',
          values: [v + 1, k],
        })
        const before = acknowledged.get(k) ?? 0
        if (v < before) stale++
        acknowledged.set(k, before + 1)
        operations++
        free.push(k)
      } catch {
        // A write that was lost may be done yet, when another client has the lock.
        if (isWriting) doubtful.add(k)
        free.push(isWriting ? next++ : k)
        for (const client of [reader, writer]) await client.end().catch(() => {})
        reader = await open()
        writer = await open()
      }
    }
    for (const client of [reader, writer]) await client.end()
  }
  await Promise.all(Array.from({ length: given.clients }, (_, i) => work(given.randomOf(i))))
  return { acknowledged, doubtful, operations }
}

/** How many updates of counters that are beyond doubt are not in what the database has. */
export function lostUpdates(
  { acknowledged, doubtful }: Raised,
  found: readonly { readonly k: number; readonly v: number }[],
): number {
  const values = new Map(found.map(({ k, v }) => [k, v]))
  let lost = 0
  for (const [k, count] of acknowledged) {
    if (!doubtful.has(k)) lost += count - (values.get(k) ?? 0)
  }
  return lost
}
