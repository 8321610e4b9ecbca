import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, sql, startServers } from '../support/cluster.ts'
import { query } from '../support/conversation-frames.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import {
  bind,
  describe as describeFrame,
  execute,
  flush,
  parse,
  type RawMessage,
  sync,
} from '../support/raw-client.ts'
import { holdConversation, type Said } from '../support/said-frames.ts'
import { oneOf, type Random, seededNumbers } from '../support/seeded-numbers.ts'

let cluster: ServerCluster
let proxy: TestProxy
let optimist: TestProxy

beforeAll(async () => {
  cluster = await startServers({ replicas: 1 })
  await sql(
    cluster.primary.url,
    `CREATE TABLE pr (a int); INSERT INTO pr VALUES (1), (2);
     CREATE UNLOGGED TABLE ul (a int); INSERT INTO ul VALUES (3);
     CREATE SEQUENCE s;
     CREATE FUNCTION reads() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN
       RETURN (SELECT count(*) FROM pr); END$$`,
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 4 } })
  optimist = await startTestProxy(cluster, {
    pool: { size: 4 },
    routing: { transactions: 'optimistic' },
  })
})
afterAll(async () => {
  await proxy?.stop()
  await optimist?.stop()
  await cluster?.stop()
})

/** Both sides are told it; a server takes it for a custom parameter. */
const onReplica = "SET pgsplit.consistency = 'eventual'"

const reads: readonly string[] = ['SELECT a FROM pr ORDER BY a', 'SELECT count(*) FROM pr']
/** What a replica can't do, or would do otherwise. */
const others: readonly string[] = [
  'SELECT reads()',
  'SELECT a FROM ul',
  "SELECT nextval('s') > 0",
  'SELECT pg_is_in_recovery()',
  'SELECT a FROM pr FOR UPDATE',
  'SELECT pg_advisory_xact_lock_shared(5)',
  'INSERT INTO pr VALUES (9)',
  'CREATE TEMP TABLE tt (a int)',
  'SET LOCAL work_mem = 5000',
  'SHOW work_mem',
  'SAVEPOINT sp',
  'DECLARE c CURSOR FOR SELECT a FROM pr ORDER BY a',
  'SELECT 1 / 0',
]

const found: readonly number[] = [81, 86, 117, 142, 1691]

type Say = (shown: string, frame: Buffer, waits?: boolean) => void

/** One statement, flushed in any of its parts. */
function runOne(random: Random, say: Say, text: string, index: number): void {
  const pause = (oneIn: number): void => {
    if (random(oneIn) === 0) say('H', flush, random(4) > 0)
  }
  const name = random(3) === 0 ? `n${index}` : ''
  say(`P(${name}, ${text})`, parse(name, text))
  if (random(2) === 0) say('D', describeFrame('S', name))
  pause(2)
  const portal = random(8) === 0 ? `p${index}` : ''
  say(`B(${portal})`, bind(portal, name))
  pause(6)
  const rows = random(4) === 0 ? 1 : 0
  say(`E(${rows})`, execute(portal, rows))
  if (rows > 0 && random(2) === 0) {
    pause(2)
    say('E', execute(portal))
  }
}

function conversation(random: Random, begins: readonly string[], end: string): Said[] {
  const said: Said[] = []
  const say: Say = (shown, frame, waits = false) => {
    said.push({ shown, direct: frame, proxied: frame, waits })
  }
  say('onReplica', query(onReplica), true)
  const begin = oneOf(random, begins)
  if (random(3) > 0) say(begin, query(begin), true)
  else {
    say(`P(${begin})`, parse('', begin))
    say('B', bind('', ''))
    say('E', execute())
    if (random(2) === 0) say('H', flush, true)
  }
  if (random(3) > 0) say('Q', query(oneOf(random, reads)), true)
  for (let left = 2 + random(4), i = 0; left > 0; left--, i++) {
    runOne(random, say, oneOf(random, random(2) === 0 ? reads : others), i)
    const pause = random(4)
    if (pause < 2) say('H', flush, true)
    else if (pause === 2) say('S', sync, random(2) === 0)
  }
  say('S', sync, true)
  say(end, query(end), true)
  return said
}

/** All but where in its own source the server found an error. */
function shape({ type, body }: RawMessage): string {
  if (type !== 'E' && type !== 'N') return `${type} ${body.toString('latin1')}`
  const fields = body.toString('latin1').split('\0')
  return `${type} ${fields.filter((field) => /^[SCMP]/.test(field)).join()}`
}

const kinds = [
  {
    kind: 'READ ONLY',
    begins: ['BEGIN READ ONLY', 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'],
    end: 'COMMIT',
    through: () => proxy,
  },
  { kind: 'optimistic', begins: ['BEGIN'], end: 'ROLLBACK', through: () => optimist },
]

describe.each(kinds)(
  'a $kind transaction whose segments are answered before they end',
  ({ begins, end, through }) => {
    it('answers as PostgreSQL does, whatever comes behind a Flush', {
      timeout: 120_000,
    }, async () => {
      const rounds = Number(process.env.PGSPLIT_FLUSH_ROUNDS ?? 60)
      const first = Number(process.env.PGSPLIT_FLUSH_SEED ?? 1)
      const login = { user: 'postgres', password: cluster.password, database: 'postgres' }
      const wrong: string[] = []
      const seeds = Array.from({ length: rounds }, (_, i) => first + i)
      // Seeds that once found something.
      if (process.env.PGSPLIT_FLUSH_SEED === undefined) seeds.push(...found)
      for (const round of seeds) {
        const said = conversation(seededNumbers(round), begins, end)
        const run = (port: number): Promise<string[]> =>
          holdConversation({ ...login, port }, said, 'direct', round, shape)
        // One after the other: what locks rows keeps the other waiting.
        const direct = await run(cluster.primary.port)
        const proxied = await run(through().port)
        if (isDeepStrictEqual(direct, proxied)) continue
        const what = `${round}: ${said.map(({ shown }) => shown).join(' · ')}`
        wrong.push(`${what}\n  direct  ${direct.join(' | ')}\n  proxied ${proxied.join(' | ')}`)
      }
      expect(wrong).toEqual([])
    })
  },
)
