import { expect, it } from 'vitest'
import { PositionSampler } from '../../../src/topology/position-sampler.ts'
import type { OpenProbe } from '../../../src/topology/probe-connection.ts'
import type { Snapshot } from '../../../src/topology/snapshot.ts'
import { waitFor } from '../../support/wait-for.ts'
import { spec } from './fake-node.ts'

/** A primary and a replica that answer position questions when the test says so. */
function setUp() {
  const asked: { sql: string; answer: (row: (string | null)[]) => void }[] = []
  const replayed = { lsn: '0/10' }
  const openProbe: OpenProbe = async (node) => ({
    query: (sql) => {
      if (node.index === 1) return Promise.resolve([replayed.lsn])
      if (sql.includes('pg_db_role_setting')) return Promise.resolve(['false'])
      return new Promise((resolve) => asked.push({ sql, answer: resolve }))
    },
    close: () => {},
  })
  const nodes = [
    { spec: spec(0), index: 0, readable: false },
    { spec: spec(1), index: 1, readable: true },
  ]
  const snapshot = { nodes, primary: nodes[0], timeline: 1 } as unknown as Snapshot
  const sampler = new PositionSampler({
    openProbe,
    snapshot: () => snapshot,
    nowMs: () => performance.now(),
  })
  return { sampler, asked, replayed }
}

it('never gives a writer a position that was asked for before its write', async () => {
  const { sampler, asked } = setUp()
  const got: string[] = []
  sampler.afterNow((position) => got.push(`first ${position(false)}`))
  await waitFor('the first question', () => asked.length === 1)
  sampler.afterNow((position) => got.push(`second ${position(false)}`))
  sampler.afterNow((position) => got.push(`third ${position(false)}`))
  asked[0]?.answer(['0/5', '0/9', 'false'])
  await waitFor('the second question', () => asked.length === 2)
  expect(got).toEqual(['first 5'])
  asked[1]?.answer(['0/7', '0/9', 'false'])
  await waitFor('all answers', () => got.length === 3)
  expect(got).toEqual(['first 5', 'second 7', 'third 7'])
  sampler.stop()
})

it('gives the insert position where commits may not be flushed', async () => {
  const { sampler, asked } = setUp()
  const got: bigint[] = []
  sampler.afterNow((position) => got.push(position(true)))
  await waitFor('a question', () => asked.length === 1)
  asked[0]?.answer(['0/5', '0/9', 'false'])
  await waitFor('an answer', () => got.length === 1)
  sampler.afterNow((position) => got.push(position(false)))
  await waitFor('a question', () => asked.length === 2)
  asked[1]?.answer(['0/6', '0/a', 'true'])
  await waitFor('an answer', () => got.length === 2)
  expect(got).toEqual([9n, 10n])
  sampler.stop()
})

it('asks replicas for their position as long as somebody waits for one', async () => {
  const { sampler, replayed } = setUp()
  expect(sampler.replayed(1)).toBe(0n)
  sampler.wish(0x20n)
  await waitFor('a first answer', () => sampler.replayed(1) === 0x10n)
  replayed.lsn = '0/21'
  await waitFor('the position wished for', () => sampler.replayed(1) === 0x21n)
  sampler.stop()
})

it('lets writers wait for one another, unless a reader is in a hurry', async () => {
  const { sampler, asked } = setUp()
  const got: bigint[] = []
  sampler.afterNow((position) => got.push(position(false)))
  await waitFor('a question', () => asked.length === 1)
  asked[0]?.answer(['0/5', '0/5', 'false'])
  await waitFor('an answer', () => got.length === 1)
  sampler.afterNow((position) => got.push(position(false)))
  sampler.hurry()
  await waitFor('the next question', () => asked.length === 2)
  asked[1]?.answer(['0/6', '0/6', 'false'])
  await waitFor('the next answer', () => got.length === 2)
  expect(got).toEqual([5n, 6n])
  sampler.stop()
})

it('does not take the position of a node that has left for that of the next one', async () => {
  const answers: ((row: string[]) => void)[] = []
  const nodes = [{ spec: spec(1), index: 1, readable: true }]
  const snapshot = { nodes, primary: null, timeline: 1 } as unknown as Snapshot
  let closed = 0
  const sampler = new PositionSampler({
    openProbe: async () => ({
      query: () => new Promise((resolve) => answers.push(resolve)),
      close: () => {
        closed += 1
      },
    }),
    snapshot: () => snapshot,
    nowMs: () => performance.now(),
  })
  sampler.wish(0x20n)
  await waitFor('a question', () => answers.length === 1)
  sampler.forget(1)
  sampler.wish(0x20n)
  await waitFor('a question to the next node', () => answers.length === 2)
  answers[0]?.(['0/30'])
  answers[1]?.(['0/10'])
  await waitFor('the answer of the next node', () => sampler.replayed(1) === 0x10n)
  expect(closed).toBe(1)
  sampler.stop()
})
