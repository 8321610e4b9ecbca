import { expect, it } from 'vitest'
import { FinishedCommits, openBelow } from '../../../src/topology/finished-commits.ts'
import type { PositionConnections } from '../../../src/topology/position-connections.ts'
import { waitFor } from '../../support/wait-for.ts'
import { snapshotOf, view } from '../routing/fixtures.ts'

it.each([
  ['100:100:', 100n, []],
  ['90:100:90,95', 100n, [90n, 95n]],
  ['90:100:90,95', 93n, [90n]],
  // What the primary has not finished yet may lie behind all that it has.
  ['100:100:', 103n, [100n, 101n, 102n]],
])('finds in %s what is open below %s', (snapshot, end, open) => {
  expect(openBelow(snapshot, end)).toEqual(open)
})

it('takes nothing else for a snapshot', () => {
  expect(() => openBelow('100', 1n)).toThrow('no snapshot')
})

/** A primary and a replica whose answers the test gives. */
function setUp() {
  const servers = { primary: '100:100:', xmax: '100', committed: '', replayed: 50n }
  const asked: string[] = []
  const connections = {
    ask: async ({ index }: { index: number }, sql: string) => {
      asked.push(sql)
      if (index === 0) return [servers.primary]
      return [sql.includes('pg_xact_status') ? servers.committed : servers.xmax]
    },
  }
  let timeline = 1
  const finished = new FinishedCommits({
    connections: connections as unknown as PositionConnections,
    snapshot: () => snapshotOf([view(0), view(1)], { timeline }),
    replayed: (index) => (index === 1 ? servers.replayed : 0n),
  })
  let told = 0
  const wait = (lsn: bigint) => finished.onShown(lsn, () => void told++)
  const promote = () => {
    timeline++
  }
  return { servers, asked, finished, wait, promote, told: () => told }
}

it('asks nobody until somebody waits, and once for all that wait', async () => {
  const { asked, finished, wait, told, promote } = setUp()
  expect(finished.isShown(40n)).toBe(false)
  expect(asked).toEqual([])
  wait(40n)
  wait(50n)
  await waitFor('both', () => told() === 2)
  expect(asked).toHaveLength(2)
  expect([finished.isShown(50n), finished.isShown(51n)]).toEqual([true, false])
  // Another timeline has another history.
  promote()
  expect(finished.isShown(50n)).toBe(false)
  finished.stop()
})

it('waits for what the replica has committed and the primary still has in progress', async () => {
  const { servers, asked, finished, wait, told } = setUp()
  Object.assign(servers, { primary: '90:95:90,92', xmax: '96', committed: '92,95' })
  wait(50n)
  await waitFor('some looks at the primary', () => asked.length > 5)
  expect(told()).toBe(0)
  servers.primary = '90:96:90,95'
  const before = asked.length
  await waitFor('further looks', () => asked.length > before + 2)
  expect(told()).toBe(0)
  // What the replica has not finished either was not shown.
  servers.primary = '90:97:90'
  await waitFor('the end', () => told() === 1)
  finished.stop()
})

it('lets go of who waits no longer, and goes on when a replica has come further', async () => {
  const { servers, finished, wait, told } = setUp()
  wait(70n)()
  wait(60n)
  servers.replayed = 70n
  await waitFor('the position', () => told() === 1)
  finished.stop()
})
