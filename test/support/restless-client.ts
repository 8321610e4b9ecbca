import net from 'node:net'
import { cancelRequest } from '../../src/wire/frontend-messages.ts'
import { copyData, copyDone, copyFail, pipeline, query, run } from './conversation-frames.ts'
import {
  bind,
  close,
  execute,
  message,
  parse,
  RawClient,
  type RawLogin,
  sync,
} from './raw-client.ts'
import { oneOf, type Random } from './seeded-numbers.ts'

/** What restless clients need in their database; `restless_a` and `restless_b` are roles. */
export const restlessFixture = `
  CREATE ROLE restless_a; CREATE ROLE restless_b; GRANT restless_a TO restless;
  CREATE TABLE counter (id int PRIMARY KEY, n int); INSERT INTO counter SELECT i, 0 FROM generate_series(1, 5) i;
  CREATE TABLE line (id serial, text text);
  CREATE TABLE item AS SELECT i AS id, repeat('x', 500) AS text FROM generate_series(1, 20000) i;
  GRANT ALL ON counter, line, item TO PUBLIC; GRANT ALL ON SEQUENCE line_id_seq TO PUBLIC;
  GRANT ALL ON SCHEMA public TO PUBLIC`

export const restlessCustoms = ['my.tenant', 'my.other'] as const

/** Sends, and waits for the answers unless the client is to break off. */
type Say = (frames: readonly Uint8Array[], readies?: number) => Promise<void>

interface Scene {
  readonly say: Say
  readonly client: RawClient
  readonly random: Random
  readonly me: number
  readonly isSuperuser: boolean
  readonly cancel: () => void
}

type Deed = (scene: Scene) => Promise<void>

const settings: Readonly<Record<string, readonly string[]>> = {
  work_mem: ['3072', '5120'],
  'my.tenant': ["'a'", "'b'"],
  'my.other': ["'o'"],
  search_path: ['public', 'pg_catalog'],
  statement_timeout: ['50000', '0'],
  application_name: ["'mine'", "'yours'"],
  extra_float_digits: ['0', '2'],
  timezone: ["'UTC'", "'Asia/Tokyo'"],
}

const setting = (random: Random): string => {
  const name = oneOf(random, Object.keys(settings))
  const value = oneOf(random, settings[name] ?? [])
  return oneOf(random, [
    `SET ${name} TO ${value}`,
    `SET ${name} TO ${value}`,
    `SET LOCAL ${name} TO ${value}`,
    `RESET ${name}`,
    `SELECT set_config('${name}', '${value.replaceAll("'", '')}', false)`,
    'RESET ALL',
    'DISCARD ALL',
  ])
}

const texts = (say: Say, ...list: readonly string[]): Promise<void> =>
  list.reduce((before, text) => before.then(() => say([query(text)])), Promise.resolve())

const deeds: readonly Deed[] = [
  ({ say, random }) => texts(say, setting(random), setting(random)),
  ({ say, random }) =>
    texts(
      say,
      'BEGIN',
      setting(random),
      'SAVEPOINT a',
      setting(random),
      oneOf(random, ['ROLLBACK TO a', 'SELECT 1/0', 'RELEASE a']),
      oneOf(random, ['COMMIT', 'ROLLBACK', 'SELECT 1']),
    ),
  ({ say, random, isSuperuser }) =>
    texts(
      say,
      oneOf(random, ['SET ROLE restless_a', 'SET LOCAL ROLE restless_a', 'RESET ROLE']),
      oneOf(
        random,
        isSuperuser ? ['SET SESSION AUTHORIZATION restless_b'] : ['SELECT current_user'],
      ),
      oneOf(random, ['RESET SESSION AUTHORIZATION', 'SET ROLE NONE', 'SELECT 1']),
    ),
  ({ say, random, me }) =>
    texts(
      say,
      oneOf(random, ['CREATE TEMP TABLE own (n int)', 'CREATE TEMP TABLE own AS SELECT 1 AS n']),
      `INSERT INTO own VALUES (${me})`,
      oneOf(random, ['DISCARD TEMP', 'DISCARD ALL', 'DROP TABLE own', 'SELECT * FROM own']),
    ),
  ({ say, random, me }) =>
    texts(
      say,
      `SELECT pg_advisory_lock(${me})`,
      oneOf(random, [
        `SELECT pg_try_advisory_lock(${random(5)})`,
        `SELECT pg_advisory_unlock(${me})`,
        'SELECT 1/0',
      ]),
      oneOf(random, ['SELECT pg_advisory_unlock_all()', 'DISCARD ALL', 'SELECT 1']),
    ),
  ({ say, random, me }) =>
    say([
      parse(`s${me % 4}`, `SELECT ${me % 3}::int + $1::int`),
      bind('', `s${me % 4}`, '1'),
      execute(),
      ...(random(3) === 0 ? [close('S', `s${me % 4}`)] : []),
      sync,
    ]),
  ({ say, random, me }) =>
    texts(
      say,
      `PREPARE p${me % 3} (int) AS SELECT $1 + ${me % 5}`,
      `EXECUTE p${me % 3} (1)`,
      oneOf(random, [`DEALLOCATE p${me % 3}`, 'DEALLOCATE ALL', 'DISCARD ALL', 'SELECT 1']),
    ),
  ({ say, random, me }) =>
    texts(
      say,
      `LISTEN channel_${me % 3}`,
      `NOTIFY channel_${random(3)}`,
      oneOf(random, ['UNLISTEN *', `UNLISTEN channel_${me % 3}`, 'DISCARD ALL', 'SELECT 1']),
    ),
  ({ say, random }) =>
    texts(
      say,
      'BEGIN',
      'DECLARE own CURSOR WITH HOLD FOR SELECT id FROM item',
      oneOf(random, ['COMMIT', 'ROLLBACK', 'FETCH 5 FROM own']),
      oneOf(random, ['FETCH 5 FROM own', 'CLOSE own', 'CLOSE ALL', 'DISCARD ALL']),
    ),
  ({ say, random }) =>
    texts(
      say,
      'BEGIN',
      `UPDATE counter SET n = n + 1 WHERE id = ${1 + random(5)}`,
      'SAVEPOINT a',
      oneOf(random, ['SELECT 1/0', `UPDATE counter SET n = 0 WHERE id = ${1 + random(5)}`]),
      oneOf(random, ['COMMIT', 'ROLLBACK', 'COMMIT AND CHAIN', 'SELECT 1']),
    ),
  ({ say, random }) =>
    texts(
      say,
      oneOf(random, ['BEGIN READ ONLY', 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY']),
      'SELECT count(*) FROM counter',
      oneOf(random, ['SELECT id FROM item', 'SELECT 1/0', 'SELECT 1']),
      oneOf(random, ['COMMIT', 'ROLLBACK', 'SELECT 2']),
    ),
  async ({ say, client, random }) => {
    client.send(query('COPY line (text) FROM STDIN'))
    await client.until('G', 5_000)
    client.send(...Array.from({ length: 1 + random(20) }, () => copyData('a line\n')))
    await say([random(3) === 0 ? copyFail('no more') : copyDone])
  },
  ({ say }) => say([query('COPY item TO STDOUT')]),
  ({ say }) => say([query('SELECT * FROM item')]),
  ({ say, random }) => {
    const list = [
      'SELECT 1',
      'SELECT id FROM counter',
      'SELECT 1/0',
      'BEGIN',
      'COMMIT',
      setting(random),
    ]
    const chosen = Array.from({ length: 4 }, () => oneOf(random, list))
    return say(pipeline(...chosen), chosen.length)
  },
  ({ say, random }) => {
    const list = [setting(random), "INSERT INTO line (text) VALUES ('x')", 'SELECT 1', 'SELECT 1/0']
    return say([...run(oneOf(random, list)), ...run(oneOf(random, list)), sync])
  },
  async ({ say, cancel, random }) => {
    const answered = say([query(`SELECT pg_sleep(0.${1 + random(3)})`)])
    cancel()
    await answered
  },
  ({ say, random }) =>
    texts(
      say,
      'BEGIN',
      'SELECT lo_open(lo_create(0), 131072)',
      oneOf(random, ['COMMIT', 'ROLLBACK', 'SELECT 1']),
    ),
  ({ say, random }) =>
    texts(
      say,
      "INSERT INTO line (text) VALUES ('y') RETURNING id",
      oneOf(random, [
        "SELECT currval('line_id_seq')",
        'SELECT lastval()',
        "SELECT nextval('line_id_seq')",
      ]),
    ),
  ({ say }) => texts(say, 'SELECT n FROM counter WHERE id = 1', 'SELECT 1', 'SELECT 2'),
]

/**
 * A client that does this and that, and breaks off anywhere: between two messages, in a transaction,
 * in COPY, in a result, while it waits. Errors are none of its business.
 */
export async function liveRestlessly(
  login: RawLogin,
  random: Random,
  me: number,
  isOver: () => boolean,
): Promise<void> {
  const client = await RawClient.logIn(login).catch(() => null)
  if (client === null) return
  let isLeaving = false
  const say: Say = async (frames, readies = 1) => {
    client.send(...frames)
    if (isLeaving) {
      // Here or a little later, wherever the server is by then.
      const ms = random(3) === 0 ? 0 : random(40)
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
      client.end()
      throw new Error('gone')
    }
    for (let left = readies; left > 0; left--) await client.until('Z', 10_000)
  }
  const cancel = (): void => cancelAt(login.port, client)
  const scene = { say, client, random, me, isSuperuser: login.user === 'postgres', cancel }
  try {
    for (let left = 1 + random(8); left > 0 && !isOver(); left--) {
      isLeaving = left === 1 && random(3) > 0
      await oneOf(random, deeds)(scene)
    }
    client.send(message('X'))
  } catch {
    // It has broken off, or was told to go.
  } finally {
    client.end()
  }
}

function cancelAt(port: number, { login }: RawClient): void {
  const socket = net.connect(port, '127.0.0.1', () => {
    socket.end(cancelRequest(login.processId, login.secretKey))
  })
  socket.on('error', () => {})
  socket.resume()
}
