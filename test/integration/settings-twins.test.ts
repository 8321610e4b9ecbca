import { afterAll, beforeAll, describe, it } from 'vitest'
import { type EmbeddedCluster, sql, startCluster } from '../support/cluster.ts'
import { parse, pipeline, query, run, sync } from '../support/conversation-frames.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { bind, close, execute, type RawLogin } from '../support/raw-client.ts'
import { oneOf, type Random, seededNumbers } from '../support/seeded-numbers.ts'
import { TwinSession } from '../support/twin-session.ts'

const seeds = (process.env.PGSPLIT_TWIN_SEEDS ?? '1,2').split(',').map(Number)
const lives = Number(process.env.PGSPLIT_TWIN_LIVES ?? 6)
const steps = Number(process.env.PGSPLIT_TWIN_STEPS ?? 15)

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster({ database: 'twins' })
  await sql(
    cluster.primary.urlFor('twins'),
    `CREATE ROLE twin_a; CREATE ROLE twin_b; CREATE ROLE twin_login LOGIN PASSWORD 'twin';
     GRANT twin_a TO twin_login; ALTER ROLE twin_a SET work_mem = '5MB';
     ALTER ROLE twin_login SET my.given = 'by the role'; ALTER ROLE twin_login SET extra_float_digits = 2;
     CREATE SCHEMA odd; CREATE TABLE odd.item (n int); CREATE TABLE item (n int);
     INSERT INTO odd.item VALUES (1); INSERT INTO item VALUES (2);
     GRANT SELECT ON item, odd.item TO PUBLIC; GRANT USAGE ON SCHEMA odd TO PUBLIC`,
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 2, checkoutTimeout: '25s' } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const values: Readonly<Record<string, readonly string[]>> = {
  work_mem: ["'3MB'", '8192', "'no size'"],
  'my.tenant': ["'a'", "'b'", "''", 'word'],
  'my.other': ['17', "'o'"],
  'my.given': ["'own'"],
  search_path: ['odd', 'odd, public', 'public', "''", '"$user", odd'],
  TimeZone: ["'Europe/Berlin'", "'UTC'", "'nowhere'"],
  DateStyle: ['German', "'SQL, DMY'", 'ISO', 'nothing'],
  application_name: ["'one'", "'two'", "''"],
  extra_float_digits: ['0', '-3', '99'],
  role: ['twin_a', 'none', 'twin_nobody'],
  client_min_messages: ['error', 'warning'],
  default_transaction_read_only: ['on', 'off'],
  // Off in a READ ONLY transaction on a replica nothing more can be proved, and is refused.
  standard_conforming_strings: ['on'],
  client_encoding: ["'LATIN1'", "'UTF8'"],
}
const names = Object.keys(values)

/** As a read that may run on any node, and by SHOW. */
const probe = `SELECT current_user, session_user, ${names
  .filter((name) => name !== 'role')
  .map((name) => `current_setting('${name}', true) AS "${name}"`)
  .join(', ')}, 1/3::float8 AS third, date '2026-02-03' AS day`

const statement = (random: Random, isSuperuser: boolean): string => {
  const name = oneOf(random, names)
  const value = oneOf(random, values[name] ?? [])
  switch (random(26)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      return `SET ${name} TO ${value}`
    case 5:
    case 6:
      return `SET LOCAL ${name} TO ${value}`
    case 7:
      return `RESET ${name}`
    case 8:
      return `SELECT set_config('${name}', '${value.replaceAll("'", '')}', ${oneOf(random, ['true', 'false'])})`
    case 9:
      return oneOf(random, ['RESET ALL', 'DISCARD ALL', 'RESET SESSION AUTHORIZATION'])
    case 10:
    case 11:
    case 12:
      return oneOf(random, ['BEGIN', 'BEGIN READ ONLY', 'START TRANSACTION', 'BEGIN'])
    case 13:
    case 14:
      return oneOf(random, ['COMMIT', 'END', 'COMMIT AND CHAIN'])
    case 15:
    case 16:
      return oneOf(random, ['ROLLBACK', 'ABORT', 'ROLLBACK AND CHAIN'])
    case 17:
      return oneOf(random, ['SAVEPOINT a', 'SAVEPOINT b', 'SAVEPOINT a'])
    case 18:
      return oneOf(random, ['ROLLBACK TO a', 'ROLLBACK TO SAVEPOINT b', 'RELEASE a', 'RELEASE b'])
    case 19:
      return oneOf(random, ['SELECT 1/0', 'SELECT nothing', "SELECT 'a\\'"])
    case 20:
      return 'SELECT n FROM item'
    case 21:
      return `SHOW ${name}`
    case 22:
      return `SET SESSION AUTHORIZATION ${isSuperuser ? oneOf(random, ['twin_a', 'twin_b', 'DEFAULT']) : 'twin_a'}`
    case 23:
      return `SET ROLE ${oneOf(random, ['twin_a', 'twin_b', 'NONE'])}`
    case 24:
      return `SET SESSION CHARACTERISTICS AS TRANSACTION ${oneOf(random, ['READ ONLY', 'READ WRITE'])}`
    default:
      return "SELECT current_setting('my.tenant')"
  }
}

interface Who {
  readonly isSuperuser: boolean
  /** Has it parameters in its startup packet? */
  readonly hasStartup: boolean
}

/** One thing a client may do: a Query of one or more statements, a segment, a pipeline. */
async function step(twins: TwinSession, random: Random, who: Who): Promise<void> {
  const one = (): string => statement(random, who.isSuperuser)
  // Behind a RESET the server has its own default, up to the end of the text or segment.
  const part = (): string => {
    for (;;) {
      const text = one()
      const isReset = /^(RESET|DISCARD)/.test(text)
      // A text with SHOW in it is no read, and is refused in a READ ONLY block on a replica.
      if (!(isReset && who.hasStartup) && !text.startsWith('SHOW')) return text
    }
  }
  switch (random(10)) {
    case 0: {
      const text = Array.from({ length: 2 + random(3) }, part).join('; ')
      await twins.query(text)
      break
    }
    case 1: {
      const texts = Array.from({ length: 2 + random(3) }, one)
      await twins.say(`pipeline: ${texts.join(' | ')}`, pipeline(...texts), texts.length)
      break
    }
    case 2: {
      const texts = Array.from({ length: 2 + random(2) }, part)
      const frames = [...texts.flatMap((text) => run(text)), sync]
      await twins.say(`segment: ${texts.join(' | ')}`, frames)
      break
    }
    case 3: {
      const text = one()
      await twins.say(`run: ${text}`, [...run(text), sync])
      break
    }
    case 4: {
      const texts = Array.from({ length: 3 }, one)
      await twins.say(`queries at once: ${texts.join(' | ')}`, texts.map(query), texts.length)
      break
    }
    case 5: {
      // Which error comes first in an aborted transaction is another matter.
      if (twins.isAborted) break
      const text = one()
      const frames = [close('S', 'own'), parse('own', text), sync, bind('', 'own'), execute(), sync]
      await twins.say(`named: ${text}`, frames, 2)
      break
    }
    default:
      await twins.query(one())
  }
  await twins.query(probe, 'probe')
}

describe('random settings, transactions and roles', () => {
  it.each(seeds)(
    'give the same on 2 shared connections per node as on a server, seed %i',
    async (seed) => {
      const { database, password } = cluster
      const random = seededNumbers(seed * 7919)
      const live = async (session: number): Promise<void> => {
        const own = seededNumbers(seed * 1_000_003 + session * 101)
        for (let left = lives; left > 0; left--) {
          const isSuperuser = own(3) === 0
          const startup: Record<string, string> = {}
          if (own(2) === 0) startup.application_name = 'from startup'
          if (own(4) === 0) startup.TimeZone = 'Asia/Tokyo'
          if (own(4) === 0) startup.options = '-c my.tenant=startup -c work_mem=6MB'
          const hasStartup = Object.keys(startup).length > 0
          const who = isSuperuser
            ? { user: 'postgres', password }
            : { user: 'twin_login', password: 'twin' }
          const login: Omit<RawLogin, 'port'> = { ...who, database, parameters: startup }
          const twins = await TwinSession.logIn(
            { ...login, port: cluster.primary.port },
            { ...login, port: proxy.port },
          )
          twins.said.push(JSON.stringify({ user: who.user, startup }))
          try {
            for (let i = 0; i < steps; i++) await step(twins, own, { isSuperuser, hasStartup })
          } finally {
            twins.end(own(2) === 0)
          }
        }
      }
      await Promise.all(Array.from({ length: 8 }, (_none, i) => live(i + random(1000))))
    },
    300_000,
  )
})
