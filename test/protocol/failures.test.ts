import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { back, front } from '../support/scripted-messages.ts'
import type { Outcome, ScriptedServer } from '../support/scripted-server.ts'
import { isCutShort } from '../support/turns.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster({ replicas: 2 })
})
afterEach(() => cluster.close())

/** Gives `outcome` on the first node that is asked, nothing special later. */
function once(outcome: Outcome): (sql: string, server: ScriptedServer) => Outcome | null {
  let isDone = false
  return () => {
    if (isDone) return null
    isDone = true
    return outcome
  }
}

function always(id: string, outcome: Outcome) {
  return (_: string, server: ScriptedServer) => (server.node.id === id ? outcome : null)
}

describe('a read that fails before its first row', () => {
  const lasting = {
    sqlstate: '40001',
    message: 'conflict with recovery',
    routine: 'ProcessInterrupts',
  }
  it.each<[string, Outcome]>([
    ['by a lost connection', { die: true }],
    ['by a shutdown', { error: { sqlstate: '57P01', message: 'bye', severity: 'FATAL' } }],
    ['by a crash', { error: { sqlstate: '57P02', message: 'bye', severity: 'FATAL' } }],
    ['while the server starts', { error: { sqlstate: '57P03', message: 'no', severity: 'FATAL' } }],
    ['by a conflict with recovery', { error: lasting }],
    ['by a deadlock with recovery', { error: { ...lasting, sqlstate: '40P01' } }],
    ['by a conflict that ends the connection', { error: { ...lasting, severity: 'FATAL' } }],
    [
      'by the end of its database there',
      { error: { ...lasting, sqlstate: '57P04', severity: 'FATAL' } },
    ],
    ['by 25006', { error: { sqlstate: '25006', message: 'read-only transaction' } }],
    ['by 0A000 of a standby', { error: { sqlstate: '0A000', message: 'unlogged' } }],
    ['by 55000 of a standby', { error: { sqlstate: '55000', message: 'recovery is in progress' } }],
    ['by XX000 of a standby', { error: { sqlstate: 'XX000', message: 'cannot assign OIDs' } }],
    ['by a table that has not arrived yet', { error: { sqlstate: '42P01', message: 'items' } }],
    ['by a function that has not arrived yet', { error: { sqlstate: '42883', message: 'f()' } }],
  ])('%s is run elsewhere and the client notices nothing', async (_, outcome) => {
    for (const run of ['query', 'run'] as const) {
      cluster = new ScriptedCluster({ replicas: 2 })
      cluster.on('SELECT node()', once(outcome))
      if ('error' in outcome && /^42/.test(outcome.error?.sqlstate ?? '')) cluster.replayed = 0n
      const client = cluster.connect()
      expect(await client[run]('SELECT node()')).toMatch(
        /^(T|1 · 2) · D (r1|r2|primary) · C SELECT 1 · Z I$/,
      )
      expect(cluster.counters.retries).toBe(1)
      expect(cluster.inUse).toBe(0)
      cluster.close()
    }
  })

  it('is answered with the error when it is the statement’s own', async () => {
    const client = cluster.connect()
    expect(await client.query("SELECT fail('22012')")).toBe('E 22012 · Z I')
    expect(cluster.counters.retries).toBe(0)
  })

  it('learns from 25006: the statement goes to the primary from then on', async () => {
    cluster.on('SELECT node()', (_, { node }) =>
      node.isReplica ? { error: { sqlstate: '25006', message: 'read-only' } } : null,
    )
    const client = cluster.connect()
    for (let i = 0; i < 4; i++) expect(await client.query('SELECT node()')).toContain('D primary')
    expect(cluster.counters.misroutes).toBe(1)
    expect(cluster.misroutes).toEqual(['25006 select'])
  })

  it.each(['0A000', '55000', '25006'])(
    'learns nothing from %s if the primary says the same: the values were bad',
    async (sqlstate) => {
      const bad = { error: { sqlstate, message: 'unit "timezone" not supported' } }
      cluster.on("SELECT node(), 'bad'", () => bad)
      const client = cluster.connect()
      for (const run of ['query', 'run'] as const) {
        for (let i = 0; i < 3; i++) {
          expect(await client[run]("SELECT node(), 'bad'")).toMatch(`E ${sqlstate} · Z I`)
          // The same class with other values.
          expect(await client[run]("SELECT node(), 'good'")).toMatch(/D r[12]/)
        }
      }
      expect(cluster.misroutes).toEqual([])
      expect(cluster.counters.misroutes).toBe(0)
      expect(cluster.failures).toEqual([])
    },
  )

  it('learns if the primary fails of something else, but not of what shows nothing', async () => {
    const refused = { error: { sqlstate: '0A000', message: 'no' } }
    for (const [sqlstate, told] of [
      ['22012', 1],
      ['57014', 0],
      ['40001', 0],
    ] as const) {
      cluster.on(`SELECT node(), '${sqlstate}'`, (_, { node }) =>
        node.isReplica ? refused : { error: { sqlstate, message: 'other' } },
      )
      const client = cluster.connect()
      expect(await client.query(`SELECT node(), '${sqlstate}'`)).toBe(`E ${sqlstate} · Z I`)
      expect(cluster.misroutes.splice(0).length).toBe(told)
      cluster.close()
      cluster = new ScriptedCluster({ replicas: 2 })
    }
  })

  it('is not run twice on the primary once a replica has refused it: it may write', async () => {
    cluster.on('SELECT node()', (_, { node }) =>
      node.isReplica ? { error: { sqlstate: '25006', message: 'read-only' } } : { die: true },
    )
    const client = cluster.connect()
    expect(await client.query('SELECT node()')).toBe('E 08007 · Z I')
  })

  it('tells it once, however many clients meet it at the same time', async () => {
    cluster.on('SELECT node()', (_, { node }) =>
      node.isReplica ? { error: { sqlstate: '25006', message: 'read-only' } } : null,
    )
    const clients = Array.from({ length: 8 }, () => cluster.connect())
    const answers = await Promise.all(clients.map((client) => client.query('SELECT node()')))
    for (const answer of answers) expect(answer).toContain('D primary')
    expect(cluster.misroutes).toEqual(['25006 select'])
  })

  it('learns it of the body when an EXECUTE with arguments was refused', async () => {
    cluster.on(/^EXECUTE/, (_, { node }) =>
      node.isReplica ? { error: { sqlstate: '25006', message: 'read-only' } } : { tag: 'SELECT 1' },
    )
    cluster.on(/^PREPARE/, () => ({ tag: 'PREPARE' }))
    const client = cluster.connect()
    expect(await client.query('PREPARE reads (int) AS SELECT node()')).toContain('C PREPARE')
    for (let i = 0; i < 4; i++) {
      expect(await client.query(`EXECUTE reads(${i})`)).toBe('C SELECT 1 · Z I')
    }
    expect(cluster.counters.misroutes).toBe(1)
  })

  it('gives up when every node fails, with one clear error', async () => {
    cluster.on('SELECT node()', () => ({ die: true }))
    const client = cluster.connect()
    expect(await client.query('SELECT node()')).toMatch(/^E 08006 · Z I$/)
    expect(cluster.inUse).toBe(0)
    expect(await client.query('SELECT rows(1)')).toContain('C SELECT 1')
  })

  it('with several clients on the shared connection is run again for all of them', async () => {
    const clients = Array.from({ length: 6 }, () => cluster.connect())
    for (let i = 0; i < 6; i++) {
      await Promise.all(clients.map((client) => client.query('SELECT node()')))
    }
    cluster.on('SELECT node()', always('r1', { die: true }))
    const answers = await Promise.all(clients.map((client) => client.query('SELECT node()')))
    for (const answer of answers) expect(answer).toMatch(/^T · D (r2|primary) · C SELECT 1 · Z I$/)
    expect(cluster.inUse).toBe(0)
  })

  it('finds another node when no connection can be had', async () => {
    cluster.refused.set(1, new Error('connect ECONNREFUSED'))
    const client = cluster.connect()
    for (let i = 0; i < 4; i++) {
      expect(await client.query('SELECT node()')).toMatch(/D (r2|primary)/)
    }
  })
})

describe('a read that fails behind its first row', () => {
  it('by an error is the client’s', async () => {
    cluster.on('SELECT rows(9)', () => ({
      rows: [['0']],
      error: { sqlstate: '40001', message: 'conflict with recovery' },
    }))
    const client = cluster.connect()
    expect(await client.query('SELECT rows(9)')).toBe('T · D 0 · E 40001 · Z I')
    expect(cluster.counters.retries).toBe(0)
  })

  it('by a lost connection is told, and never run again', async () => {
    cluster.on('SELECT rows(9)', () => ({ rows: [['0']], die: true }))
    const client = cluster.connect()
    expect(await client.query('SELECT rows(9)')).toBe('T · D 0 · E 08006 · Z I')
    expect(cluster.counters.retries).toBe(0)
    expect(await client.query('SELECT node()')).toContain('C SELECT 1')
  })
})

describe('a request that is in nobody’s hands', () => {
  it('gets 53300 when no server connection is free in time', async () => {
    cluster = new ScriptedCluster({ pool: { size: 1, checkoutTimeoutMs: 30 } })
    const holder = cluster.connect()
    const client = cluster.connect()
    await holder.query('BEGIN; INSERT INTO items VALUES (1)')
    expect(await client.query('INSERT INTO items VALUES (1)')).toBe('E 53300 · Z I')
    await client.query('BEGIN')
    expect(await client.query('INSERT INTO items VALUES (1)')).toBe('E 53300 · Z E')
    expect(await client.query('SELECT 1')).toBe('E 25P02 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    await holder.query('COMMIT')
    expect(await client.query('INSERT INTO items VALUES (1)')).toBe('C INSERT 0 1 · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('gets 57P03 when there is no primary', async () => {
    const { snapshot } = cluster
    cluster.snapshot = { ...snapshot, primary: null }
    const client = cluster.connect()
    expect(await client.query('INSERT INTO items VALUES (1)')).toBe('E 57P03 · Z I')
    expect(await client.query('SELECT node()')).toMatch(/D r[12]/)
  })

  it('waits in its place and is forgotten with its client', async () => {
    cluster = new ScriptedCluster({ pool: { size: 1 } })
    const holder = cluster.connect()
    await holder.query('BEGIN; INSERT INTO items VALUES (1)')
    const gone = cluster.connect().send(front.query('DELETE FROM items'))
    const client = cluster.connect().send(front.query('INSERT INTO items VALUES (1)'))
    const pool = cluster.scope().pool(0)
    await expect.poll(() => pool.counts().waiting).toBe(2)
    gone.vanish()
    await expect.poll(() => pool.counts().waiting).toBe(1)
    await holder.query('COMMIT')
    expect(await client.ready()).toBe('C INSERT 0 1 · Z I')
    expect(cluster.server('primary').texts).not.toContain('DELETE FROM items')
    expect(cluster.inUse).toBe(0)
  })
})

describe('a client that vanishes', () => {
  it.each<[string, Buffer[]]>([
    ['in mid-transaction', [front.query('BEGIN'), front.query('INSERT INTO items VALUES (1)')]],
    ['in a pipeline', [front.query('INSERT INTO items VALUES (1)'), front.query('SELECT slow()')]],
    ['in mid-request', [front.query('DELETE FROM slow')]],
    ['in a segment without Sync', [front.run('DELETE FROM items'), front.flush]],
  ])('%s leaves a server connection that is closed, not reused', async (_, messages) => {
    cluster.on(/slow/, (_sql, server) => (server.isPaused ? null : { hang: true }))
    const client = cluster.connect().send(...messages)
    await expect.poll(() => cluster.servers.length).toBeGreaterThan(0)
    const [server] = cluster.serversOf('primary')
    await expect.poll(() => server?.texts.length).toBeGreaterThan(0)
    client.vanish()
    await expect.poll(() => cluster.sessions.size).toBe(0)
    await expect.poll(() => cluster.inUse).toBe(0)
    const other = cluster.connect()
    expect(await other.query('INSERT INTO items VALUES (2)')).toBe('C INSERT 0 1 · Z I')
  })

  it('in the middle of a shared pipeline does not disturb the others', async () => {
    const clients = Array.from({ length: 6 }, () => cluster.connect())
    for (let i = 0; i < 6; i++) {
      await Promise.all(clients.map((client) => client.query('SELECT node()')))
    }
    for (const client of clients) client.send(front.query('SELECT node()'))
    clients[0]?.vanish()
    clients[3]?.vanish()
    for (const index of [1, 2, 4, 5]) {
      expect(await clients[index]?.ready()).toMatch(/^T · D r[12] · C SELECT 1 · Z I$/)
    }
    await expect.poll(() => cluster.inUse).toBe(0)
  })
})

describe('a cancel request', () => {
  function hanging() {
    const hung = new Set<ScriptedServer>()
    cluster.on('SELECT slow()', (_, server) => {
      if (hung.has(server)) {
        hung.delete(server)
        return { error: { sqlstate: '57014', message: 'canceling statement due to user request' } }
      }
      hung.add(server)
      return { hang: true }
    })
    cluster.onCancel = async (server) => {
      if (server.isPaused) server.go()
    }
  }

  it('reaches the server that runs the request, while it runs it', async () => {
    hanging()
    const client = cluster.connect().send(front.query('SELECT slow()'))
    await expect.poll(() => cluster.servers[0]?.isPaused).toBe(true)
    void client.session.cancel()
    expect(await client.ready()).toBe('E 57014 · Z I')
    expect(cluster.cancelled).toHaveLength(1)
    await expect.poll(() => cluster.inUse).toBe(0)
  })

  it('does nothing while nothing runs', async () => {
    const client = cluster.connect()
    await client.query('INSERT INTO items VALUES (1)')
    void client.session.cancel()
    await client.query('BEGIN; INSERT INTO items VALUES (1)')
    void client.session.cancel()
    expect(cluster.cancelled).toEqual([])
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
  })

  it('takes a waiting request out of the queue', async () => {
    cluster = new ScriptedCluster({ pool: { size: 1 } })
    const holder = cluster.connect()
    await holder.query('BEGIN; INSERT INTO items VALUES (1)')
    const client = cluster.connect().send(front.query('INSERT INTO items VALUES (1)'))
    await expect.poll(() => cluster.scope().pool(0).counts().waiting).toBe(1)
    void client.session.cancel()
    expect(await client.ready()).toBe('E 57014 · Z I')
    expect(cluster.cancelled).toEqual([])
  })

  it('that has not been settled keeps the server connection from the next user', async () => {
    hanging()
    let settle = (): void => {}
    cluster.onCancel = async (server) => {
      server.go()
      await new Promise<void>((resolve) => {
        settle = resolve
      })
    }
    const client = cluster.connect().send(front.query('SELECT slow()'))
    await expect.poll(() => cluster.servers[0]?.isPaused).toBe(true)
    const cancelled = client.session.cancel()
    expect(await client.ready()).toBe('E 57014 · Z I')
    expect(cluster.scope().pool(0).counts().idle).toBe(0)
    settle()
    await cancelled
    const [server] = cluster.servers
    await expect.poll(() => server?.isClosed).toBe(true)
  })

  it('that has not been settled holds back what its session asks next there', async () => {
    hanging()
    let settle = (): void => {}
    cluster.onCancel = async (server) => {
      server.go()
      await new Promise<void>((resolve) => {
        settle = resolve
      })
    }
    const client = cluster.connect()
    await client.query('BEGIN')
    client.send(front.query('SELECT slow()'))
    await expect.poll(() => cluster.servers[0]?.isPaused).toBe(true)
    const cancelled = client.session.cancel()
    expect(await client.ready()).toBe('E 57014 · Z E')
    let isAnswered = false
    const last = client.query('ROLLBACK').then((answer) => {
      isAnswered = true
      return answer
    })
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(isAnswered).toBe(false)
    settle()
    await cancelled
    expect(await last).toBe('C ROLLBACK · Z I')
    // Nothing is on its way any more: the next user may have the connection.
    await expect.poll(() => cluster.scope().pool(0).counts().idle).toBe(1)
  })

  it('on a connection that others share hits only its own: theirs are run again', async () => {
    cluster = new ScriptedCluster({ replicas: 1, pool: { size: 1 } })
    const clients = Array.from({ length: 5 }, () => cluster.connect())
    for (let i = 0; i < 6; i++) {
      await Promise.all(clients.map((client) => client.query('SELECT node()')))
    }
    // The first is cancelled too late; what follows it is hit.
    let isHit = false
    let runs = 0
    cluster.on('SELECT node()', (_, server) => {
      if (!server.node.isReplica) return null
      runs++
      if (runs === 1) return { hang: true }
      if (runs === 3 && isHit) {
        return { error: { sqlstate: '57014', message: 'canceling statement due to user request' } }
      }
      return null
    })
    cluster.onCancel = async (server) => {
      isHit = true
      server.go()
    }
    for (const client of clients) client.send(front.query('SELECT node()'))
    await expect.poll(() => cluster.servers.some(({ isPaused }) => isPaused)).toBe(true)
    void clients[0]?.session.cancel()
    const answers = await Promise.all(clients.map((client) => client.ready()))
    for (const answer of answers) expect(answer).toMatch(/^T · D (r1|primary) · C SELECT 1 · Z I$/)
    await expect.poll(() => cluster.inUse).toBe(0)
  })
})

describe('what a session has seen before its node was lost', () => {
  it('in a transaction on the primary still counts', async () => {
    const noted = vi.spyOn(cluster.positions, 'notePrimary')
    cluster.on('SELECT node()', once({ die: true }))
    const client = cluster.connect()
    await client.query('BEGIN')
    expect(await client.query('SELECT rows(1)')).toContain('C SELECT 1 · Z T')
    expect(noted).not.toHaveBeenCalled()
    expect(await client.query('SELECT node()')).toBe('E 08006 · Z E')
    expect(noted).toHaveBeenCalled()
    await client.query('ROLLBACK')
  })

  it('in rows of an unfinished answer still counts', async () => {
    const noted = vi.spyOn(cluster.positions, 'notePrimary')
    cluster.on('SELECT rows(9)', once({ rows: [['0']], tag: 'SELECT', die: true }))
    const client = cluster.connect()
    await client.query('SELECT rows(9)')
    expect(noted).toHaveBeenCalled()
  })

  it('on a replica that was promoted meanwhile counts as seen on the primary', async () => {
    const noted = vi.spyOn(cluster.positions, 'notePrimary')
    cluster.on('SELECT node()', () => {
      const [old, ...rest] = cluster.snapshot.nodes
      const nodes = rest.map((node) => ({ ...node, role: 'primary' as const, readable: false }))
      cluster.snapshot = { ...cluster.snapshot, nodes: old === undefined ? nodes : [old, ...nodes] }
      return null
    })
    const client = cluster.connect()
    await client.query("SET pgsplit.consistency = 'session'")
    expect(await client.query('SELECT node()')).toMatch(/D r[12]/)
    expect(noted).toHaveBeenCalled()
  })
})

describe.skipIf(isCutShort)('requests that were sent ahead of a lost answer', () => {
  const first = front.query("SELECT fail('40001')")
  const behind: readonly (readonly [string, Buffer])[] = [
    ['a Query', front.query('SELECT rows(2)')],
    [
      'a segment',
      Buffer.concat([
        front.parse('', 'SELECT rows(2)'),
        front.bind('', ''),
        front.execute(''),
        front.sync,
      ]),
    ],
    ['a RESET by name', Buffer.concat([front.parse('a', 'RESET my.x'), front.sync])],
    [
      'a Flush',
      Buffer.concat([
        front.parse('', 'SELECT rows(2)'),
        front.describe('S', ''),
        front.flush,
        front.sync,
      ]),
    ],
  ]

  it.each(behind)('are answered in order, and leave no connection behind: %s', async (_, next) => {
    for (let turns = 0; turns < 12; turns++) {
      for (const cut of [0, 6, next.length - 5, next.length]) {
        cluster = new ScriptedCluster({ replicas: 1 })
        const client = cluster.connect()
        client.send(Buffer.concat([first, next.subarray(0, cut)]))
        for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
        cluster.servers.at(-1)?.die()
        await new Promise((resolve) => setImmediate(resolve))
        client.send(next.subarray(cut))
        client.send(front.query('SELECT rows(3)'))
        const got = await client.until('the last answer', (heard) =>
          heard.join(' · ').endsWith('C SELECT 3 · Z I'),
        )
        // The first answer ends before anything of the second is said.
        const answers = got.split('Z I')
        expect(answers[0]).toMatch(/^(T · )?E (40001|08006)/)
        expect(answers).toHaveLength(4)
        client.vanish()
        await expect.poll(() => cluster.inUse).toBe(0)
        cluster.close()
      }
    }
  })
})

describe('a READ ONLY transaction whose replica goes on with its replay', () => {
  const facts = {
    sqlstate: '40001',
    message: 'terminating connection due to conflict with recovery',
    severity: 'FATAL',
  } as const

  it('hears the words of the server once, and nothing is held against the node', async () => {
    for (const sqlstate of ['40001', '57P04']) {
      const client = cluster.connect()
      await client.query('BEGIN READ ONLY')
      expect(await client.query('SELECT node()')).toContain('D r1')
      const server = cluster.server('r1')
      server.say(back.error({ ...facts, sqlstate }))
      server.die()
      await new Promise((resolve) => setImmediate(resolve))
      expect(await client.query('SELECT node()')).toBe(`E ${sqlstate} · Z E`)
      expect(await client.query('SELECT node()')).toBe('E 25P02 · Z E')
      expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
      expect(await client.query('SELECT node()')).toMatch(/D r\d/)
      expect(cluster.failures).toEqual([])
      cluster.close()
      cluster = new ScriptedCluster({ replicas: 2 })
    }
  })

  it('… in the middle of a statement, too', async () => {
    const client = cluster.connect()
    await client.query('BEGIN READ ONLY')
    expect(await client.query('SELECT node()')).toMatch(/D r\d/)
    cluster.on('SELECT node()', once({ error: facts }))
    expect(await client.query('SELECT node()')).toBe('E 40001 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    expect(cluster.failures).toEqual([])
  })
})

describe('an error that a replica’s old catalog may explain', () => {
  const error = { sqlstate: '22P02', message: 'invalid input value for enum' }

  it('is asked of the primary, once, whatever its SQLSTATE', async () => {
    cluster.catalogState = 'changed'
    cluster.replayed = 0n
    for (const sqlstate of ['22P02', '23514', '42501', 'P0001', '22012', '0A000']) {
      for (const node of cluster.nodes.slice(1)) {
        cluster.onNode(node, 'SELECT node()', () => ({ error: { ...error, sqlstate } }))
      }
      for (const run of ['query', 'run'] as const) {
        expect(await cluster.connect()[run]('SELECT node()')).toContain('D primary')
      }
    }
  })

  it('is the client’s own if the primary says the same, and no lesson', async () => {
    cluster.replayed = 0n
    cluster.on('SELECT node()', () => ({ error }))
    const client = cluster.connect()
    expect(await client.query('SELECT node()')).toBe('E 22P02 · Z I')
    const runs = cluster.servers
      .flatMap(({ texts }) => texts)
      .filter((text) => /node\(\)/.test(text))
    expect(runs).toHaveLength(2)
    expect(cluster.failures).toEqual([])
  })
})

it('is told one error when the server ends the connection behind it', async () => {
  const client = cluster.connect()
  await client.query('BEGIN READ ONLY')
  expect(await client.query('SELECT node()')).toMatch(/D r\d/)
  const error = { sqlstate: '40001', message: 'conflict with recovery' }
  const end = back.error({ ...error, severity: 'FATAL' })
  cluster.on('SELECT rows(2)', (_, server) => {
    const rows = [back.copyOutResponse, back.copyData('0')]
    server.say(...rows, back.error({ ...error, severity: 'ERROR' }), end)
    return { hang: true }
  })
  await client.query('SAVEPOINT s')
  const heard = await client.query('SELECT rows(2)')
  expect(heard.match(/E 40001/g)).toHaveLength(1)
  expect(heard).toMatch(/Z E$/)
})
