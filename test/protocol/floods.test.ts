import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collected } from '../../src/client/collected.ts'
import { turnLimits } from '../../src/net/turn-share.ts'
import { noticeResponse } from '../../src/wire/backend-messages.ts'
import type { ScriptedClient } from '../support/scripted-client.ts'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster
const usual = { ...turnLimits }

/** Looks at the clock are what time passes by: a flood's turn is so many messages, on any machine. */
beforeEach(() => {
  let nowMs = 0
  const clock = (): number => {
    nowMs += 0.1
    return nowMs
  }
  Object.assign(turnLimits, { shareMs: 0.15, turnMs: 0.25, nowMs: clock })
  cluster = new ScriptedCluster({ pipeBytes: 1 << 22 })
})
afterEach(() => {
  cluster.close()
  Object.assign(turnLimits, usual)
})

/** How many messages the flooder was answered between the question of another client and its answer. */
async function meanwhile(flooder: ScriptedClient, victim: ScriptedClient): Promise<number[]> {
  const counts: number[] = []
  for (let i = 0; i < 10; i++) {
    const before = flooder.frames.length
    await victim.query('SELECT node()')
    counts.push(flooder.frames.length - before)
  }
  return counts
}

const many = (message: Buffer, count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => message))

describe('a client that floods', () => {
  it.each([
    ['Sync', front.sync, 1],
    ['empty queries', front.query(''), 2],
    ['BEGIN and COMMIT', Buffer.concat([front.query('BEGIN'), front.query('COMMIT')]), 4],
    ['SHOW', front.query('SHOW pgsplit.route'), 4],
    ['Sync in a segment that fails', Buffer.concat([front.execute('x'), front.sync]), 2],
  ])('with %s is heard some messages at a time', async (_, message, answers) => {
    const [flooder, victim] = [cluster.connect(), cluster.connect()]
    await victim.query('SELECT node()')
    const start = flooder.frames.length
    flooder.send(many(message, 20_000))
    const counts = await meanwhile(flooder, victim)
    // A question takes some turns there and back, in each of them the flooder some looks.
    for (const count of counts) expect(count).toBeLessThanOrEqual(16 * 64 * answers)
    await expect.poll(() => flooder.frames.length - start).toBeGreaterThanOrEqual(20_000)
  })

  it('by a server that raises NOTICEs is answered some of them at a time', async () => {
    const notice = noticeResponse('NOTICE', { sqlstate: '00000', message: 'again' })
    cluster.on(/INSERT/, () => ({ before: many(notice, 20_000), tag: 'INSERT 0 1' }))
    const [flooder, victim] = [cluster.connect(), cluster.connect()]
    await victim.query('SELECT node()')
    flooder.send(front.query('INSERT INTO items VALUES (1)'))
    const counts = await meanwhile(flooder, victim)
    for (const count of counts) expect(count).toBeLessThanOrEqual(16 * 64)
    await expect.poll(() => flooder.frames.length).toBe(20_002)
  })
})

describe('long statements', () => {
  beforeEach(() => {
    cluster.close()
    cluster = new ScriptedCluster({ limits: { maxRequestBytes: 16 << 20 } })
  })

  it('that many clients send half hold no more than there is room for, and give it back', async () => {
    const whole = 15 * 1024 * 1024
    const header = Buffer.alloc(5, 'Q')
    header.writeInt32BE(whole - 1, 1)
    const clients = Array.from({ length: 40 }, () => cluster.connect())
    for (const client of clients) client.send(header, Buffer.alloc(1_000, ' '))
    await expect.poll(() => collected.bytes).toBeGreaterThan(230 * 1024 * 1024)
    // The others are on their way to the primary, unread.
    await expect.poll(() => cluster.inUse).toBeGreaterThan(0)
    expect(collected.bytes).toBeLessThanOrEqual(256 * 1024 * 1024)
    for (const client of clients) client.vanish()
    await expect.poll(() => collected.bytes).toBe(0)
  })

  it('are collected and judged while there is room, and leave it when they are answered', async () => {
    const client = cluster.connect()
    const text = `SELECT node() /* ${'x'.repeat(3 << 20)} */`
    const bytes = front.query(text)
    for (let at = 0; at < bytes.length; at += 65_536) client.send(bytes.subarray(at, at + 65_536))
    expect(await client.ready()).toBe('T · D r1 · C SELECT 1 · Z I')
    expect(collected.bytes).toBe(0)
  })
})
