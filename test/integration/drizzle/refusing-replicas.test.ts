import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions, type DoorEvent } from '../../../src/drizzle/index.ts'
import { createSessions as createJsSessions } from '../../../src/drizzle/postgres-js/index.ts'
import { hbaText } from '../../../src/embedded/server-settings.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../../support/cluster.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    `CREATE ROLE web LOGIN PASSWORD 'web';
     CREATE TABLE item AS SELECT 7 AS id;
     GRANT SELECT ON item TO web`,
    [],
    'shop',
  )
  await cluster.catchUp()
})
afterAll(() => cluster?.stop())

const options = (onEvent: (event: DoorEvent) => void) => ({
  primary: cluster.primary.urlFor('shop'),
  replicas: cluster.replicas.map((replica) => replica.urlFor('shop')),
  login: { user: 'web', password: 'web', database: 'shop' },
  monitor: { user: 'postgres', password: cluster.password, database: 'postgres' },
  onEvent,
})
type Options = ReturnType<typeof options>
const startPg = (given: Options) => createSessions(given)
type Sessions = ReturnType<typeof startPg>

const ways = [
  { name: 'node-postgres', start: startPg },
  {
    name: 'postgres.js',
    start: (given: Options) => createJsSessions(given) as unknown as Sessions,
  },
]

const rejecting = hbaText([
  'host all web 127.0.0.1/32 reject',
  'host all all 127.0.0.1/32 scram-sha-256',
])

/** How often replicas have refused it until now, as their logs tell. */
async function refusals(word: string): Promise<number> {
  const tails = await Promise.all(cluster.replicas.map((node) => node.logTail(100_000)))
  return tails.flatMap((tail) => tail.split('\n')).filter((line) => line.includes(word)).length
}

async function read(sessions: Sessions): Promise<number> {
  const result = await sessions.getSession(false).execute(sql`SELECT id FROM item`)
  const rows = (result as { rows?: unknown[] }).rows ?? (result as unknown as unknown[])
  return Number((rows[0] as { id: unknown }).id)
}

const readsOf = (sessions: Sessions, role: string): number =>
  sessions
    .snapshot()
    .nodes.filter((node) => node.role === role)
    .reduce((sum, { reads }) => sum + reads, 0)

/** 60 reads while all replicas refuse the application, and what becomes of them. */
async function readRefused(start: (given: Options) => Sessions, word: string) {
  const events: DoorEvent[] = []
  const before = await refusals(word)
  const sessions = start(options((event) => events.push(event)))
  await sessions.ready
  for (let i = 0; i < 40; i++) expect(await read(sessions)).toBe(7)
  const count = (await refusals(word)) - before
  expect(count).toBeGreaterThanOrEqual(cluster.replicas.length)
  // Without a pause it would be one for each read.
  expect(count).toBeLessThan(12 * cluster.replicas.length)
  // Side by side several may try at the same time.
  const many = await Promise.all(Array.from({ length: 20 }, () => read(sessions)))
  expect(many).toEqual(many.map(() => 7))
  const tx = await sessions.getSession(false).transaction((db) => db.execute(sql`SELECT 1 AS one`))
  expect(tx).toBeDefined()
  expect(readsOf(sessions, 'replica')).toBe(0)
  const told = () => events.filter(({ event }) => event === 'replica_refuses')
  expect(told()).toHaveLength(cluster.replicas.length)
  expect(told()[0]).toMatchObject({ level: 'warn', user: 'web', database: 'shop' })
  const states = sessions.snapshot().nodes.filter(({ role }) => role === 'replica')
  for (const { state } of states) expect(state).toContain(word)
  return { sessions, events }
}

/** They serve again without anybody's doing. */
async function readAdmitted(sessions: Sessions, events: readonly DoorEvent[]): Promise<void> {
  try {
    await waitFor('reads on the replicas', async () => {
      await read(sessions)
      const replicas = sessions.snapshot().nodes.filter(({ role }) => role === 'replica')
      return replicas.every(({ reads, state }) => reads > 0 && state === 'up')
    })
    const admitted = events.filter(({ event }) => event === 'replica_admits')
    expect(admitted).toHaveLength(cluster.replicas.length)
  } finally {
    await sessions.close()
  }
}

describe.each(ways)('replicas that refuse the log-in of $name', ({ start }) => {
  it('by pg_hba.conf are told of once, not tried for each read, and used when they admit it', async () => {
    const admitted = hbaText()
    const write = async (text: string): Promise<void> => {
      for (const replica of cluster.replicas) {
        await replica.writeFiles({ 'pg_hba.conf': text })
        await replica.reload()
      }
    }
    await write(rejecting)
    try {
      const { sessions, events } = await readRefused(start, 'pg_hba.conf rejects')
      await write(admitted)
      await readAdmitted(sessions, events)
    } finally {
      await write(admitted)
    }
  })

  it('by a log-in trigger that writes likewise', async (context) => {
    if (cluster.version < 17) context.skip()
    await cluster.primary.query(
      `CREATE TABLE logins (who name);
       GRANT INSERT ON logins TO public;
       CREATE FUNCTION note_login() RETURNS event_trigger LANGUAGE plpgsql AS
         $$BEGIN INSERT INTO logins VALUES (session_user); END$$;
       CREATE EVENT TRIGGER note_login ON login EXECUTE FUNCTION note_login()`,
      [],
      'shop',
    )
    let isThere = true
    const drop = async (): Promise<void> => {
      if (!isThere) return
      isThere = false
      await cluster.primary.query(
        'DROP EVENT TRIGGER note_login; DROP FUNCTION note_login; DROP TABLE logins',
        [],
        'shop',
      )
      // PostgreSQL takes it for there, and fails to lock it on a replica, until the next log-in here.
      await cluster.primary.query('SELECT 1', [], 'shop')
      await cluster.catchUp()
    }
    try {
      await cluster.catchUp()
      const { sessions, events } = await readRefused(start, 'cannot execute INSERT')
      await drop()
      await readAdmitted(sessions, events)
    } finally {
      await drop()
    }
  })
})
