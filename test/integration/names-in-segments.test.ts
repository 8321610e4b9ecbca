import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, expect, describe as group, it } from 'vitest'
import { type ServerCluster, sql, startServers } from '../support/cluster.ts'
import { query } from '../support/conversation-frames.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import {
  bind,
  close,
  describe,
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

beforeAll(async () => {
  cluster = await startServers({ replicas: 1 })
  await sql(cluster.primary.url, 'CREATE TABLE item (id int PRIMARY KEY)')
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 4 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** Both sides are told it; a server takes it for a custom parameter. */
const onReplica = "SET pgsplit.consistency = 'eventual'"
const found: readonly number[] = [404, 522, 655, 680]

const seen = 'SELECT name FROM pg_prepared_statements ORDER BY name'
const texts: readonly string[] = [
  seen,
  seen,
  'SELECT 1',
  'SELECT count(*) FROM item',
  'INSERT INTO item SELECT 1 WHERE false',
  'EXECUTE a',
  'EXECUTE b',
  'DEALLOCATE a',
  'DEALLOCATE ALL',
  'PREPARE a AS SELECT 7',
  'BEGIN',
  'COMMIT',
  'nonsense',
]

/** What drivers do with statements that have names, with Flush and Sync between them anywhere. */
function conversation(random: Random, before: readonly string[]): Said[] {
  const said: Said[] = []
  const say = (shown: string, frame: Buffer, waits = false): void => {
    said.push({ shown, direct: frame, proxied: frame, waits })
  }
  for (const text of before) say(`Q(${text})`, query(text), true)
  const pause = (): void => {
    const kind = random(6)
    if (kind < 2) say('H', flush, random(2) === 0)
    else if (kind < 3) say('S', sync, random(2) === 0)
  }
  for (let left = 3 + random(6); left > 0; left--) {
    const name = oneOf(random, ['', 'a', 'b', 'c'])
    const kind = random(12)
    if (kind < 7) {
      const text = oneOf(random, texts)
      say(`P(${name}, ${text})`, parse(name, text))
      if (random(3) === 0) say(`D(${name})`, describe('S', name))
      pause()
      if (random(4) === 0) continue
      say(`B(${name})`, bind('', name))
      say('E', execute())
    } else if (kind < 9) {
      say(`B(${name})`, bind('', name))
      say('E', execute())
    } else if (kind < 10) say(`C(${name})`, close('S', name))
    else if (kind < 11) say(`D(${name})`, describe('S', name))
    else {
      const text = oneOf(random, texts)
      say('S', sync)
      say(`Q(${text})`, query(text), random(2) === 0)
    }
    pause()
  }
  say('S', sync, true)
  return said
}

/** All but where in its own source the server found an error. */
function shape({ type, body }: RawMessage): string {
  if (type !== 'E' && type !== 'N') return `${type} ${body.toString('latin1')}`
  const fields = body.toString('latin1').split('\0')
  return `${type} ${fields.filter((field) => /^[SCMP]/.test(field)).join()}`
}

group("a session's own names of prepared statements", () => {
  const cases: readonly (readonly [string, number, readonly string[]])[] = [
    ['a session', 120, []],
    ['a READ ONLY transaction on a replica', 60, [onReplica, 'BEGIN READ ONLY', 'SELECT 1']],
    ['its end', 30, ['PREPARE a AS SELECT 7', onReplica, 'BEGIN READ ONLY', 'EXECUTE a']],
  ]
  it.each(cases)(
    'are there at every place of a segment of %s, and none of ours',
    {
      timeout: 120_000,
    },
    async (_, usual, before) => {
      const rounds = Number(process.env.PGSPLIT_NAMES_ROUNDS ?? usual)
      const seed = Number(process.env.PGSPLIT_NAMES_SEED ?? 1)
      const login = { user: 'postgres', password: cluster.password, database: 'postgres' }
      const wrong: string[] = []
      const talk = async (round: number, said: readonly Said[]): Promise<void> => {
        const run = (port: number, side: 'direct' | 'proxied'): Promise<string[]> =>
          holdConversation({ ...login, port }, said, side, round, shape)
        const [direct, proxied] = await Promise.all([
          run(cluster.primary.port, 'direct'),
          run(proxy.port, 'proxied'),
        ])
        if (isDeepStrictEqual(direct, proxied)) return
        const what = `${round}: ${said.map(({ shown }) => shown).join(' · ')}`
        wrong.push(`${what}\n  direct  ${direct.join(' | ')}\n  proxied ${proxied.join(' | ')}`)
      }
      const seeds = Array.from({ length: rounds }, (_, i) => seed + i)
      // Seeds that once found something.
      if (process.env.PGSPLIT_NAMES_SEED === undefined) seeds.push(...found)
      for (const round of seeds) await talk(round, conversation(seededNumbers(round), before))
      expect(wrong).toEqual([])
    },
  )
})
