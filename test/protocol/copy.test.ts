import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front, message } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster()
})
afterEach(() => cluster.close())

const copyIn = 'COPY items FROM STDIN'
const data = front.copyData('1\n')

describe('COPY IN by a simple query', () => {
  it('streams to the primary', async () => {
    const client = cluster.connect()
    expect(await client.send(front.query(copyIn)).last('G')).toBe('G')
    client.send(data, data, front.copyDone)
    expect(await client.ready()).toBe('C COPY 2 · Z I')
    expect(cluster.inUse).toBe(0)
    expect(await client.query('SELECT node()')).toContain('D r1')
  })

  it('ignores Flush and Sync inside', async () => {
    const client = cluster.connect()
    await client.send(front.query(copyIn)).last('G')
    client.send(data, front.flush, data, front.sync, front.copyDone)
    expect(await client.ready()).toBe('C COPY 2 · Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(cluster.inUse).toBe(0)
  })

  it('is given up by CopyFail', async () => {
    const client = cluster.connect()
    await client.send(front.query(copyIn)).last('G')
    client.send(data, front.copyFail('no more'))
    expect(await client.ready()).toBe('E 57014 · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('goes on with the session after an error in mid-COPY, whatever is still sent', async () => {
    const client = cluster.connect()
    await client.send(front.query(copyIn)).last('G')
    client.send(data, front.copyData('bad\n'), data, data)
    expect(await client.ready()).toBe('E 22P02 · Z I')
    client.send(data, front.copyDone)
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(cluster.inUse).toBe(0)
  })

  it('of two tables in one text copies both', async () => {
    const client = cluster.connect()
    await client.send(front.query(`${copyIn}; ${copyIn}`)).last('G')
    expect(await client.send(data, front.copyDone).last('G')).toBe('C COPY 1 · G')
    expect(await client.send(data, data, front.copyDone).ready()).toBe('C COPY 2 · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('streams a CopyData of any length in parts', async () => {
    const client = cluster.connect()
    await client.send(front.query(copyIn)).last('G')
    client.send(front.copyData(Buffer.alloc(3_000_000, 0x61)), front.copyDone)
    expect(await client.ready()).toBe('C COPY 1 · Z I')
  })

  it('that the client leaves in the middle closes the server connection', async () => {
    const client = cluster.connect()
    await client.send(front.query(copyIn)).last('G')
    const server = cluster.server('primary')
    client.send(data)
    client.vanish()
    await expect.poll(() => server.isClosed).toBe(true)
    expect(cluster.inUse).toBe(0)
  })

  it('is left by Terminate at once', async () => {
    const client = cluster.connect()
    await client.send(front.query(copyIn)).last('G')
    const server = cluster.server('primary')
    client.send(data, front.terminate)
    await client.closed()
    await expect.poll(() => server.isClosed).toBe(true)
  })

  it('refuses a message that has no place in it', async () => {
    const client = cluster.connect()
    await client.send(front.query(copyIn)).last('G')
    client.send(front.query('SELECT node()'))
    expect(await client.closed()).toBe('E 08P01 · E 08P01')
    expect(cluster.inUse).toBe(0)
  })

  it('that has failed when such a message comes carries that out', async () => {
    const client = cluster.connect()
    await client.send(front.query(copyIn)).last('G')
    client.send(front.copyData('bad\n'), front.query('SELECT node()'))
    expect(await client.ready(2)).toBe('E 22P02 · Z I · T · D r1 · C SELECT 1 · Z I')
    expect(cluster.inUse).toBe(0)
    await client.query('BEGIN')
    await client.send(front.query(copyIn)).last('G')
    client.send(front.copyData('bad\n'), front.query('ROLLBACK'))
    expect(await client.ready(2)).toBe('E 22P02 · Z E · C ROLLBACK · Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(cluster.inUse).toBe(0)
  })

  it('whose server is lost is told, and the data behind it dropped', async () => {
    const client = cluster.connect()
    await client.send(front.query(copyIn)).last('G')
    cluster.server('primary').die()
    expect(await client.ready()).toBe('E 08007 · Z I')
    client.send(data, front.copyDone)
    expect(await client.query('SELECT node()')).toContain('D r1')
  })
})

describe('COPY IN by an extended query', () => {
  it('swallows the Sync behind Execute and ends with the next', async () => {
    const client = cluster.connect()
    expect(await client.send(front.run(copyIn), front.sync).last('G')).toBe('1 · 2 · G')
    client.send(data, front.copyDone, front.sync)
    expect(await client.ready()).toBe('C COPY 1 · Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(cluster.inUse).toBe(0)
  })

  it('swallows several Syncs', async () => {
    const client = cluster.connect()
    expect(await client.send(front.run(copyIn), front.sync, front.sync).last('G')).toBe('1 · 2 · G')
    client.send(data, front.sync, front.copyDone, front.sync)
    expect(await client.ready()).toBe('C COPY 1 · Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(client.unseen).toBe('')
  })

  it('may begin at a Flush', async () => {
    const client = cluster.connect()
    expect(await client.send(front.run(copyIn), front.flush).last('G')).toBe('1 · 2 · G')
    client.send(data, front.flush, front.sync, front.copyDone, front.sync)
    expect(await client.ready()).toBe('C COPY 1 · Z I')
    expect(await client.run('SELECT node()')).toMatch(/D r1 · C SELECT 1 · Z I/)
    expect(cluster.inUse).toBe(0)
  })

  it('may be followed by more of the segment', async () => {
    const client = cluster.connect()
    await client.send(front.run(copyIn), front.sync).last('G')
    client.send(data, front.copyDone, front.run('SELECT node()'), front.sync)
    expect(await client.ready()).toBe('C COPY 1 · 1 · 2 · D primary · C SELECT 1 · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('sent at once, with a Sync in front of its data, ends at the Sync behind it', async () => {
    const client = cluster.connect()
    client.send(front.run(copyIn), front.sync, data, front.copyDone, front.sync)
    expect(await client.ready()).toBe('1 · 2 · G · C COPY 1 · Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
    client.send(front.run(copyIn), front.sync, data, front.copyDone)
    expect(await client.last('C COPY 1')).toBe('1 · 2 · G · C COPY 1')
    expect(await client.send(front.sync).ready()).toBe('Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(cluster.inUse).toBe(0)
  })

  it('sent at once with a request in place of that Sync goes on with it up to the next', async () => {
    const client = cluster.connect()
    const all = '1 · 2 · G · C COPY 1 · 1 · 2 · D primary · C SELECT 1 · Z I'
    for (let round = 0; round < 2; round++) {
      client.send(front.run(copyIn), front.sync, data, front.copyDone)
      client.send(front.run('SELECT node()'), front.sync)
      expect(await client.ready()).toBe(all)
    }
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(client.unseen).toBe('')
    expect(cluster.inUse).toBe(0)
  })

  it('skips to Sync after an error in mid-COPY and after CopyFail', async () => {
    const client = cluster.connect()
    for (const end of [[front.copyData('bad\n'), data, front.copyDone], [front.copyFail('no')]]) {
      await client.send(front.run(copyIn), front.sync).last('G')
      client.send(...end, front.run('SELECT node()'), front.sync)
      expect(await client.ready()).toMatch(/^E (22P02|57014) · Z I$/)
      expect(await client.query('SELECT node()')).toContain('D r1')
    }
    expect(cluster.inUse).toBe(0)
  })

  it('skips what comes behind its failure, whether that is known or not', async () => {
    const client = cluster.connect()
    for (const isAtOnce of [true, false]) {
      await client.send(front.run(copyIn), front.flush).last('G')
      client.send(front.copyData('bad\n'))
      if (!isAtOnce) expect(await client.last('E 22P02')).toBe('E 22P02')
      client.send(front.run(copyIn), front.copyDone, front.run('SELECT node()'), front.sync)
      expect(await client.ready()).toBe(isAtOnce ? 'E 22P02 · Z I' : 'Z I')
      expect(await client.query('SELECT node()')).toContain('D r1')
    }
    expect(cluster.inUse).toBe(0)
  })

  it('ends a client that sends something else between its data and a Sync that came too early', async () => {
    const client = cluster.connect()
    await client.send(front.run(copyIn), front.flush).last('G')
    client.send(data, front.sync, front.run('SELECT node()'))
    expect(await client.closed()).toBe('E 08P01 · E 08P01')
    expect(cluster.inUse).toBe(0)
  })

  it('skips a long message behind a failure that is not known yet, too', async () => {
    const client = cluster.connect()
    const long = message('B', (w) => w.string('').string('').bytes(Buffer.alloc(3_000_000)))
    await client.send(front.run(copyIn), front.flush).last('G')
    client.send(Buffer.concat([front.copyData('bad\n'), long.subarray(0, 100)]))
    client.send(long.subarray(100), front.sync)
    expect(await client.ready()).toBe('E 22P02 · Z I')
    await client.send(front.run(copyIn), front.flush).last('G')
    client.send(Buffer.concat([data, long.subarray(0, 100)]))
    expect(await client.closed()).toBe('E 08P01 · E 08P01')
    expect(cluster.inUse).toBe(0)
  })

  it('whose error comes while the client sends Sync alone is answered', async () => {
    const client = cluster.connect()
    await client.send(front.run(copyIn), front.sync).last('G')
    client.send(front.copyData('bad\n'), front.sync)
    expect(await client.ready()).toBe('E 22P02 · Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(cluster.inUse).toBe(0)
  })
})

describe('COPY IN by a Query that ends a segment', () => {
  it('ends without Sync', async () => {
    const client = cluster.connect()
    client.send(front.run('INSERT INTO items VALUES (1)'), front.query(copyIn))
    expect(await client.last('G')).toBe('1 · 2 · C INSERT 0 1 · G')
    client.send(data, front.sync, front.copyDone, front.sync, front.query('SELECT node()'))
    expect(await client.ready(3)).toBe('C COPY 1 · Z I · Z I · T · D primary · C SELECT 1 · Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(cluster.inUse).toBe(0)
  })
})

describe('COPY OUT', () => {
  it('streams from a replica when it is a proved read', async () => {
    const client = cluster.connect()
    expect(await client.query('COPY (SELECT node()) TO STDOUT')).toBe(
      'H · d a\n · d b\n · c · C COPY 2 · Z I',
    )
    expect(cluster.serversOf('r1')).toHaveLength(1)
    expect(await client.run('COPY (SELECT node()) TO STDOUT')).toBe(
      '1 · 2 · H · d a\n · d b\n · c · C COPY 2 · Z I',
    )
  })
})
