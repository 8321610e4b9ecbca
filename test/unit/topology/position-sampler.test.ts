import { expect, it } from 'vitest'
import type { NodeView } from '../../../src/topology/node.ts'
import { PositionSampler } from '../../../src/topology/position-sampler.ts'
import type { OpenProbe } from '../../../src/topology/probe-connection.ts'
import type { Snapshot } from '../../../src/topology/snapshot.ts'
import { waitFor } from '../../support/wait-for.ts'
import { spec } from './fake-node.ts'

interface Asked {
  readonly node: number
  readonly sql: string
  readonly answer: (row: (string | null)[]) => void
}

/** A primary and a replica that answer when the test says so. */
function setUp(nowMs = () => performance.now()) {
  const asked: Asked[] = []
  const lose: (() => void)[] = []
  const openProbe: OpenProbe = async (node, { onLost }) => {
    lose[node.index] = onLost
    return {
      query: (sql) => {
        return new Promise((answer) => asked.push({ node: node.index, sql, answer }))
      },
      close: () => {},
    }
  }
  const nodes = [
    { spec: spec(0), index: 0, readable: false },
    { spec: spec(1), index: 1, readable: true },
  ]
  const snapshot = { nodes, primary: nodes[0], timeline: 1 } as unknown as Snapshot
  const sampler = new PositionSampler({
    openProbe,
    snapshot: () => snapshot,
    nowMs,
  })
  const next = async (node: number): Promise<Asked> => {
    await waitFor('a question', () => asked.some((one) => one.node === node))
    const at = asked.findIndex((one) => one.node === node)
    return asked.splice(at, 1)[0] as Asked
  }
  return { sampler, snapshot, asked, next, lose }
}

const file = '000000020000000000000003'

it('never covers a write by a position that was asked for before it', async () => {
  const { sampler, next } = setUp()
  const { primary } = sampler
  const first = primary.note()
  const question = await next(0)
  const second = primary.note()
  const third = primary.note()
  question.answer(['0/5', '0/9', file])
  await waitFor('the first answer', () => primary.since(first) !== null)
  expect(primary.since(first)).toMatchObject({ flushed: 5n, timeline: 2 })
  expect(primary.since(second)).toBeNull()
  ;(await next(0)).answer(['0/7', '0/9', file])
  await waitFor('the second answer', () => primary.since(second) !== null)
  expect(primary.since(third)).toMatchObject({ flushed: 7n })
  sampler.stop()
})

it('covers a commit by the insert position, as records end', async () => {
  const { sampler, next } = setUp()
  const { primary } = sampler
  for (const [inserted, position] of [
    ['0/9', 0x9n],
    // The next record would begin behind the header of a page that has none yet.
    ['0/2018', 0x2000n],
    ['0/3000028', 0x3000000n],
    ['0/2028', 0x2028n],
    ['0/100028', 0x100028n],
  ] as const) {
    const epoch = primary.note()
    ;(await next(0)).answer(['0/5', inserted, file, '8192', '16777216'])
    await waitFor('an answer', () => primary.since(epoch) !== null)
    expect(primary.since(epoch)).toMatchObject({ flushed: 5n, inserted: position })
  }
  sampler.stop()
})

it('tells how long it takes until what is inserted is flushed', async () => {
  let nowMs = 1_000
  const { sampler, next } = setUp(() => nowMs)
  const { primary } = sampler
  const answer = async (flushed: string, inserted: string): Promise<void> => {
    const epoch = primary.note()
    const question = await next(0)
    question.answer([flushed, inserted, file, '8192', '16777216'])
    await waitFor('an answer', () => primary.since(epoch) !== null)
    nowMs += 10
  }
  await answer('0/5', '0/5')
  expect(primary.flushMs).toBe(0)
  await answer('0/5', '0/9')
  expect(primary.flushMs).toBe(10)
  // It counts from the first time that it was seen, whatever is inserted behind it.
  await answer('0/5', '0/F')
  expect(primary.flushMs).toBe(20)
  await answer('0/9', '0/F')
  expect(primary.flushMs).toBe(20)
  await answer('0/F', '0/F')
  await answer('0/F', '0/F')
  await answer('0/F', '0/F')
  expect(primary.flushMs).toBeLessThan(5)
  sampler.stop()
})

it('asks for a sample soon when a reader is in a hurry, and again when one fails', async () => {
  const { sampler, next, lose } = setUp()
  const epoch = sampler.primary.note()
  const question = await next(0)
  lose[0]?.()
  question.answer([])
  sampler.primary.hurry()
  ;(await next(0)).answer(['0/6', '0/6', null])
  await waitFor('an answer', () => sampler.primary.since(epoch) !== null)
  // A server that doesn't tell its timeline is on the one that is known.
  expect(sampler.primary.since(epoch)).toMatchObject({ flushed: 6n, timeline: 1 })
  sampler.stop()
})

it('covers what was read on a replica by a position asked for later', async () => {
  const { sampler, snapshot, next } = setUp()
  const { replicas } = sampler
  expect(replicas.note(1)).toBe(-1)
  await replicas.follow(snapshot)
  expect(replicas.follows(1)).toBe(true)
  const first = replicas.note(1)
  const question = await next(1)
  const second = replicas.note(1)
  question.answer(['0/10'])
  await waitFor('an answer', () => replicas.since(1, first) !== null)
  expect(replicas.since(1, first)).toBe(0x10n)
  expect(replicas.since(1, second)).toBeNull()
  ;(await next(1)).answer(['0/11'])
  await waitFor('the next answer', () => replicas.since(1, second) !== null)
  expect(replicas.replayed(1)).toBe(0x11n)
  sampler.stop()
})

it('gives no position for what was read from a server that may have been restarted', async () => {
  const { sampler, snapshot, next, lose } = setUp()
  const { replicas } = sampler
  await replicas.follow(snapshot)
  const { version } = replicas
  const before = replicas.note(1)
  const question = await next(1)
  lose[1]?.()
  question.answer(['0/20'])
  expect(replicas.follows(1)).toBe(false)
  expect(replicas.version).toBeGreaterThan(version)
  expect(replicas.isLost(1, before)).toBe(true)
  expect(replicas.note(1)).toBe(-1)
  await replicas.follow(snapshot)
  const after = replicas.note(1)
  expect(replicas.isLost(1, after)).toBe(false)
  ;(await next(1)).answer(['0/8'])
  await waitFor('an answer', () => replicas.since(1, after) !== null)
  expect(replicas.isLost(1, before)).toBe(true)
  expect(replicas.replayed(1)).toBe(8n)
  sampler.stop()
})

it('tells when a replica is beyond the timeline that is known: its position is none of that', async () => {
  const { sampler, snapshot, next } = setUp()
  const { replicas } = sampler
  await replicas.follow(snapshot)
  for (const [own, timeline, replayed] of [
    ['1', 1, 0x10n],
    ['2', 2, 0n],
    // It was promoted itself.
    [file, 2, 0n],
    [null, null, 0x10n],
  ] as const) {
    const epoch = replicas.note(1)
    ;(await next(1)).answer(['0/10', own])
    await waitFor('an answer', () => replicas.since(1, epoch) !== null)
    expect(replicas.timelineOf(1)).toBe(timeline)
    expect(replicas.replayed(1)).toBe(replayed)
  }
  sampler.stop()
})

it('asks a replica that is read from for what writers will need there, and no other', async () => {
  const { sampler, snapshot, asked, next } = setUp()
  const { primary, replicas } = sampler
  await replicas.follow(snapshot)
  const write = async (): Promise<void> => {
    const epoch = primary.note()
    ;(await next(0)).answer(['0/10', '0/10', file])
    await waitFor('a sample', () => primary.since(epoch) !== null)
  }
  await write()
  expect(asked).toEqual([])
  const epoch = replicas.note(1)
  ;(await next(1)).answer(['0/f', '2'])
  await waitFor('a position', () => replicas.since(1, epoch) !== null)
  await write()
  ;(await next(1)).answer(['0/10', '2'])
  sampler.stop()
})

it('asks replicas for their position as long as somebody waits for one', async () => {
  const { sampler, snapshot, asked, next } = setUp()
  const { replicas } = sampler
  await replicas.follow(snapshot)
  replicas.wish(0x20n)
  ;(await next(1)).answer(['0/10'])
  await waitFor('a first answer', () => replicas.replayed(1) === 0x10n)
  let told = 0
  sampler.onNext(() => told++)
  ;(await next(1)).answer(['0/21'])
  await waitFor('the position wished for', () => replicas.replayed(1) === 0x21n)
  expect(told).toBe(1)
  expect(asked).toEqual([])
  sampler.stop()
})

it('knows the latest moment that a replica certainly has', async () => {
  const { sampler, snapshot, next } = setUp()
  const { primary, replicas } = sampler
  await replicas.follow(snapshot)
  expect(replicas.caughtUpAtMs(1)).toBe(Number.NEGATIVE_INFINITY)
  const epoch = primary.note()
  ;(await next(0)).answer(['0/10', '0/10', file])
  await waitFor('a sample', () => primary.since(epoch) !== null)
  replicas.note(1)
  ;(await next(1)).answer(['0/f'])
  await waitFor('a position', () => replicas.replayed(1) === 0xfn)
  expect(replicas.caughtUpAtMs(1)).toBe(Number.NEGATIVE_INFINITY)
  replicas.note(1)
  ;(await next(1)).answer(['0/10'])
  await waitFor('a position', () => replicas.replayed(1) === 0x10n)
  expect(replicas.caughtUpAtMs(1)).toBe(primary.since(epoch)?.askedAtMs)
  sampler.stop()
})

it('knows how long a replica takes to have what the primary has', async () => {
  let nowMs = 1_000
  const { sampler, snapshot, next } = setUp(() => nowMs)
  const { primary, replicas } = sampler
  const delayMs = (observedAtMs = 900, lagMs = 3): number =>
    replicas.delayMs({ index: 1, observedAtMs, lagMs } as NodeView)
  const write = async (lsn: string, atMs: number): Promise<void> => {
    nowMs = atMs
    const epoch = primary.note()
    ;(await next(0)).answer([lsn, lsn, file])
    await waitFor('a sample', () => primary.since(epoch) !== null)
  }
  const look = async (lsn: string, atMs: number): Promise<void> => {
    nowMs = atMs
    const epoch = replicas.note(1)
    replicas.hurry()
    ;(await next(1)).answer([lsn])
    await waitFor('a position', () => replicas.since(1, epoch) !== null)
  }
  expect(delayMs()).toBe(Number.POSITIVE_INFINITY)
  await replicas.follow(snapshot)
  expect(delayMs()).toBe(3)
  await look('0/8', 1_100)
  await write('0/10', 1_700)
  await look('0/10', 1_710)
  expect(delayMs()).toBe(0)
  await write('0/20', 2_300)
  await look('0/18', 2_350)
  expect(delayMs()).toBe(50)
  await look('0/18', 2_600)
  expect(delayMs()).toBe(300)
  // It is there: the next one may well take as long.
  await look('0/20', 2_610)
  expect(delayMs()).toBe(300)
  // The next one was quick.
  await write('0/30', 3_200)
  await look('0/30', 3_210)
  expect(delayMs()).toBe(0)
  // A later probe knows better.
  expect(delayMs(3_500, 44)).toBe(44)
  // It owes an answer.
  nowMs = 4_000
  replicas.note(1)
  replicas.hurry()
  const question = await next(1)
  nowMs = 4_070
  expect(delayMs()).toBe(70)
  question.answer(['0/30'])
  sampler.stop()
})

it('follows what the primary has while reads go there for want of a replica', async () => {
  const { sampler, snapshot, asked, next } = setUp()
  const { primary, replicas } = sampler
  await replicas.follow(snapshot)
  replicas.seek()
  const epoch = primary.note()
  ;(await next(0)).answer(['0/10', '0/10', file])
  await waitFor('a sample', () => primary.since(epoch) !== null)
  ;(await next(1)).answer(['0/f'])
  ;(await next(1)).answer(['0/10'])
  await waitFor('the position', () => replicas.replayed(1) === 0x10n)
  expect(asked).toEqual([])
  sampler.stop()
})

it('gives no position of a node for what was read from one that had its index before', async () => {
  const { sampler, snapshot, next } = setUp()
  const { replicas } = sampler
  await replicas.follow(snapshot)
  const late = replicas.note(1)
  const question = await next(1)
  sampler.forget(1)
  question.answer(['0/20'])
  expect(replicas.isLost(1, late)).toBe(true)
  await replicas.follow(snapshot)
  const after = replicas.note(1)
  ;(await next(1)).answer(['0/8'])
  await waitFor('a position of the successor', () => replicas.since(1, after) === 8n)
  expect(replicas.isLost(1, late)).toBe(true)
  expect(replicas.isLost(1, after)).toBe(false)
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
  const { replicas } = sampler
  await replicas.follow(snapshot)
  replicas.wish(0x20n)
  await waitFor('a question', () => answers.length === 1)
  sampler.forget(1)
  await replicas.follow(snapshot)
  replicas.wish(0x20n)
  await waitFor('a question to the next node', () => answers.length === 2)
  answers[0]?.(['0/30'])
  answers[1]?.(['0/10'])
  await waitFor('the answer of the next node', () => replicas.replayed(1) === 0x10n)
  expect(closed).toBe(1)
  sampler.stop()
})

it('asks at once for reads that wait, once for all that came in with one turn, and in line behind another', async () => {
  const { sampler, asked, next } = setUp()
  const { primary } = sampler
  const answer = (question: Asked) => question.answer(['0/5', '0/9', file])
  const first = [primary.ask(), primary.ask(), primary.ask()]
  const question = await next(0)
  // These came in after it had left.
  const second = [primary.ask(), primary.ask()]
  const told: string[] = []
  for (const epoch of first) primary.onSince(epoch, () => told.push('first'))
  for (const epoch of second) primary.onSince(epoch, () => told.push('second'))
  const takenBack = primary.onSince(second[0] as number, () => told.push('nobody'))
  takenBack()
  answer(question)
  await waitFor('the first answer', () => told.length > 0)
  expect(told).toEqual(['first', 'first', 'first'])
  answer(await next(0))
  await waitFor('the second answer', () => told.length > 3)
  expect(told.slice(3)).toEqual(['second', 'second'])
  expect(asked).toEqual([])
  sampler.stop()
})

it('does not count what a primary says that was replaced meanwhile', async () => {
  const { sampler, snapshot, next } = setUp()
  const { primary } = sampler
  const epoch = primary.ask()
  const question = await next(0)
  Object.assign(snapshot, { primary: snapshot.nodes[1], timeline: 2 })
  question.answer(['0/5', '0/9', file])
  const again = await next(1)
  expect(primary.since(epoch)).toBeNull()
  again.answer(['0/7', '0/7', file])
  await waitFor('an answer', () => primary.since(epoch) !== null)
  expect(primary.since(epoch)).toMatchObject({ inserted: 7n })
  sampler.stop()
})

it('asks for the sizes of the log once for each connection', async () => {
  const { sampler, next, lose } = setUp()
  const { primary } = sampler
  const sample = async (rest: readonly string[]): Promise<string> => {
    const epoch = primary.ask()
    const question = await next(0)
    question.answer(['0/5', '0/2018', file, ...rest])
    await waitFor('an answer', () => primary.since(epoch) !== null)
    // The record ends where the page begins.
    expect(primary.since(epoch)).toMatchObject({ inserted: 0x2000n })
    return question.sql
  }
  const sizes = ['8192', '16777216']
  expect(await sample(sizes)).toContain('wal_block_size')
  expect(await sample([])).not.toContain('wal_block_size')
  lose[0]?.()
  expect(await sample(sizes)).toContain('wal_block_size')
  sampler.stop()
})
