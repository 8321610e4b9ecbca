import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { waitFor } from '../support/cluster.ts'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster()
})
afterEach(() => cluster.close())

const bye = Buffer.from('X\0\0\0\x04')

describe('Terminate', () => {
  it('behind an answered request ends the session', async () => {
    const client = cluster.connect()
    await client.query('SELECT node()')
    expect(await client.send(bye).closed()).toBe('')
  })

  it('behind a request is read when that is answered', async () => {
    const client = cluster.connect()
    expect(await client.send(front.query('SELECT node()'), bye).closed()).toBe(
      'T · D r1 · C SELECT 1 · Z I',
    )
  })

  it('ends a session whose last segment was flushed and got no Sync', async () => {
    const client = cluster.connect()
    client.send(front.parse('s', 'SELECT node()'), front.describe('S', 's'), front.flush)
    expect(await client.last('T')).toBe('1 · t · T')
    expect(await client.send(bye).closed()).toBe('')
    await waitFor('no server connection in use', () => cluster.inUse === 0)
  })

  it('sent at once with a Flush is read when that is answered', async () => {
    const client = cluster.connect()
    client.send(front.run('INSERT INTO items VALUES (1)'), front.flush, bye)
    expect(await client.closed()).toBe('1 · 2 · C INSERT 0 1')
    await waitFor('no server connection in use', () => cluster.inUse === 0)
  })

  it('behind an error is read without the Sync that the server waits for', async () => {
    const client = cluster.connect()
    client.send(front.run("SELECT fail('22012')"), front.flush)
    expect(await client.last('E 22012')).toBe('1 · 2 · E 22012')
    expect(await client.send(bye).closed()).toBe('')
    await waitFor('no server connection in use', () => cluster.inUse === 0)
  })
})

describe('a client that closes its side', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it.each([
    ['a write', [], 'UPDATE items SET id = slow()', false],
    ['a read', [], 'SELECT slow()', true],
    ['a transaction', ['BEGIN'], 'UPDATE items SET id = slow()', true],
    ['a transaction in one text', [], 'BEGIN; UPDATE items SET id = slow()', true],
  ])('while %s takes long: only a write is done to its end', async (...given) => {
    const [, before, sql, isGivenUp] = given
    let isSlow = true
    cluster.on(/slow/, () => (isSlow ? { hang: true } : null))
    const client = cluster.connect()
    for (const text of before) await client.query(text)
    client.send(front.query(sql))
    await expect.poll(() => cluster.servers.some(({ isPaused }) => isPaused)).toBe(true)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    client.session.link.onEnd?.()
    vi.advanceTimersByTime(60_000)
    vi.useRealTimers()
    if (isGivenUp) await expect.poll(() => client.session.isGone).toBe(true)
    else {
      isSlow = false
      for (const server of cluster.servers) if (server.isPaused) server.go()
      expect(await client.closed()).toContain('C UPDATE')
    }
  })
})
