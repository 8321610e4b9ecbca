import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, sql, startServers, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

/**
 * What becomes of roles and databases while pgsplit has connections of them on all nodes: who logs
 * in afterwards finds what it would find directly, whoever has made the change and wherever.
 */

let cluster: ServerCluster
let one: TestProxy
let other: TestProxy

const ways = ['through pgsplit', 'beside pgsplit', 'through another pgsplit'] as const

beforeAll(async () => {
  cluster = await startServers({ database: 'home' })
  const settings = { pool: { size: 3 } }
  ;[one, other] = await Promise.all([
    startTestProxy(cluster, settings),
    startTestProxy(cluster, settings),
  ])
})
afterAll(async () => {
  await Promise.all([one?.stop(), other?.stop()])
  await cluster?.stop()
})

const admin = (text: string, database = 'home') => sql(cluster.primary.urlFor(database), text)

/** Runs each statement by itself, as the superuser. */
async function change(way: (typeof ways)[number], statements: readonly string[]): Promise<void> {
  const url = {
    'through pgsplit': one.url(),
    'beside pgsplit': cluster.primary.urlFor('home'),
    'through another pgsplit': other.url(),
  }[way]
  for (const statement of statements) await sql(url, statement)
}

interface Person {
  readonly user: string
  readonly password?: string
  readonly database?: string
}

const urls = (person: Person) => {
  const { user, password = 'one', database = 'home' } = person
  const direct = new URL(cluster.primary.urlFor(database))
  direct.username = user
  direct.password = password
  return {
    direct: direct.href,
    one: one.url({ user, password, database }),
    other: other.url({ user, password, database }),
  }
}

const failure = ({ code, message }: { code?: string; message?: string }): string =>
  `${code} ${message}`

/** What a new log-in can do: its refusal, or the answers to its questions. */
async function look(
  url: string,
  questions: readonly string[],
  hint = '',
): Promise<string | unknown[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 20_000 })
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (error) {
    return failure(error as Error)
  }
  try {
    const answers: unknown[] = []
    for (const question of questions) {
      const asked = client.query({ text: hint + question, rowMode: 'array' })
      answers.push(await asked.then(({ rows }) => rows, failure))
    }
    return answers
  } finally {
    await client.end().catch(() => {})
  }
}

const anyNode = ['/* pgsplit: primary */ ', '/* pgsplit: replica */ ', '/* pgsplit: replica */ ']

/** Clients of the person that stay, with connections to every node through both. */
async function warm(person: Person): Promise<pg.Client[]> {
  const { one: first, other: second } = urls(person)
  return Promise.all(
    [first, first, second].map(async (connectionString) => {
      const client = new pg.Client({ connectionString })
      client.on('error', () => {})
      await client.connect()
      for (let i = 0; i < 2; i++) for (const hint of anyNode) await client.query(`${hint}SELECT 1`)
      return client
    }),
  )
}

/** Every new log-in, through both and to every node, is as a direct one. */
async function expectAsDirectly(person: Person, questions: readonly string[]): Promise<unknown> {
  const { direct, one: first, other: second } = urls(person)
  const expected = await look(direct, questions)
  // At once, where the change was made; replicas when they have it.
  for (const url of [first, second])
    expect(await look(url, questions, anyNode[0])).toEqual(expected)
  await cluster.catchUp()
  const looks = [first, second].flatMap((url) => anyNode.map((hint) => look(url, questions, hint)))
  for (const found of await Promise.all(looks)) expect(found).toEqual(expected)
  return expected
}

async function endAll(clients: readonly pg.Client[]): Promise<void> {
  await Promise.all(clients.map((client) => client.end().catch(() => {})))
}

const who = 'SELECT current_user::text, session_user::text, current_database()::text'
const isSuper = 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user'

let n = 0

/** Names of a test's own. */
function names() {
  n++
  return { role: `r${n}`, peer: `p${n}`, database: `d${n}` }
}

let turn = 0

/** Each statement goes another way than the one before. */
/** Resolves when each of the two pgsplits has gone through a look at roles that begins after now. */
async function bothHaveLooked(): Promise<void> {
  const [from] = await admin('SELECT clock_timestamp()::text AS at')
  const questions = new Map<unknown, Set<unknown>>()
  await waitFor('both to have looked for changes of roles', async () => {
    const rows = await admin(`SELECT pid, query_start::text AS at FROM pg_stat_activity
      WHERE query LIKE 'EXECUTE pgsplit\\_%' AND query_start > '${from?.at}'`)
    for (const { pid, at } of rows) questions.set(pid, (questions.get(pid) ?? new Set()).add(at))
    // A look asks at most three.
    return [...questions.values()].filter(({ size }) => size > 3).length >= 2
  })
}

async function changeByTurns(statements: readonly string[]): Promise<void> {
  for (const statement of statements) {
    await change(ways[turn++ % ways.length] ?? ways[0], [statement])
  }
}

describe.each(ways)('%s', (way) => {
  it('a role that was renamed is another one, and so is the one that has its name now', async () => {
    const { role, peer } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'; CREATE TABLE secret_${role} (n int);
      GRANT SELECT ON secret_${role} TO ${role}`)
    await cluster.catchUp()
    const stay = await warm({ user: role })
    const table = `SELECT * FROM secret_${role}`
    await change(way, [
      `ALTER ROLE ${role} RENAME TO ${peer}`,
      `CREATE ROLE ${role} LOGIN PASSWORD 'new'`,
    ])
    const [rows, secret] = (await expectAsDirectly({ user: role, password: 'new' }, [
      who,
      table,
    ])) as unknown[]
    expect(rows).toEqual([[role, role, 'home']])
    expect(secret).toContain('42501')
    expect(await expectAsDirectly({ user: role }, [who])).toContain('28P01')
    expect(await expectAsDirectly({ user: peer }, [who, table])).toEqual([
      [[peer, peer, 'home']],
      [],
    ])
    // Who was there goes on as who it is, on every node.
    for (const client of stay) {
      for (const hint of anyNode) {
        const { rows: own } = await client.query(`${hint}SELECT session_user::text AS name`)
        expect(own).toEqual([{ name: peer }])
      }
    }
    await endAll(stay)
  })

  it('a role that was dropped and created anew is usable', async () => {
    const { role } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'; CREATE TABLE pub_${role} (n int)`)
    await cluster.catchUp()
    const stay = await warm({ user: role })
    await change(way, [
      `DROP ROLE ${role}`,
      `CREATE ROLE ${role} LOGIN PASSWORD 'two'`,
      `GRANT SELECT ON pub_${role} TO ${role}`,
    ])
    const answers = await expectAsDirectly({ user: role, password: 'two' }, [
      who,
      `SELECT * FROM pub_${role}`,
    ])
    expect(answers).toEqual([[[role, role, 'home']], []])
    await endAll(stay)
    await change(way, [`DROP OWNED BY ${role}`, `DROP ROLE ${role}`])
    expect(await expectAsDirectly({ user: role, password: 'two' }, [who])).toContain('28P01')
  })

  it('a superuser who is none any more can not become anybody', async () => {
    const { role, peer } = names()
    await admin(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD 'one'; CREATE ROLE ${peer}`)
    await cluster.catchUp()
    const stay = await warm({ user: role })
    const become = `SET SESSION AUTHORIZATION ${peer}`
    await change(way, [`ALTER ROLE ${role} NOSUPERUSER`])
    const answers = (await expectAsDirectly({ user: role }, [become, who, isSuper])) as unknown[]
    expect(answers[0]).toContain('42501')
    await change(way, [`ALTER ROLE ${role} SUPERUSER`])
    const again = (await expectAsDirectly({ user: role }, [become, who])) as unknown[]
    expect(again[1]).toEqual([[peer, peer, 'home']])
    await endAll(stay)
  })

  it('a database that was renamed and created anew is the new one, on replicas, too', async () => {
    const { role, database } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'`)
    await admin(`CREATE DATABASE ${database}`)
    const mark = (text: string) =>
      admin(
        `CREATE TABLE mark (text) AS SELECT '${text}'; GRANT SELECT ON mark TO PUBLIC`,
        database,
      )
    await mark('old')
    await cluster.catchUp()
    const person = { user: role, database }
    const stay = await warm(person)
    const ask = 'SELECT text FROM mark'
    await expectAsDirectly(person, [ask])
    await change(way, [
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}'`,
      `ALTER DATABASE ${database} RENAME TO former_${database}`,
      `CREATE DATABASE ${database}`,
    ])
    await mark('new')
    // At once: never what the name stood for before.
    for (const url of [urls(person).one, urls(person).other]) {
      for (const hint of anyNode) {
        expect(['', 'new']).toContain(seen(await look(url, [ask], hint)))
      }
    }
    expect(await expectAsDirectly(person, [ask])).toEqual([[['new']]])
    expect(await expectAsDirectly({ user: role, database: `former_${database}` }, [ask])).toEqual([
      [['old']],
    ])
    // Whose database has another name now is sent away, as it would be to let it be renamed.
    for (const client of stay) {
      const gone = waitFor('the client to be sent away', () =>
        client.query(ask).then(
          ({ rows }) => (rows[0]?.text === 'old' ? undefined : true),
          () => true,
        ),
      )
      expect(await gone).toBe(true)
    }
    await endAll(stay)
    await change(way, [
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}'`,
      `DROP DATABASE ${database} WITH (FORCE)`,
    ])
    expect(await expectAsDirectly(person, [ask])).toBe(
      `3D000 database "${database}" does not exist`,
    )
  })
})

describe('now by this way, now by that one', () => {
  it('a membership that was taken, or whose name is another role now, counts no more', async () => {
    const { role, peer } = names()
    await admin(
      `CREATE ROLE ${role} LOGIN PASSWORD 'one'; CREATE ROLE ${peer}; GRANT ${peer} TO ${role}`,
    )
    await cluster.catchUp()
    // In the startup packet: their connections are in that role.
    const asPeer = (url: string) => `${url}?options=${encodeURIComponent(`-c role=${peer}`)}`
    const stay = await warm({ user: role })
    const { direct, one: first, other: second } = urls({ user: role })
    for (const url of [direct, first, second]) {
      expect(await look(asPeer(url), [who])).toEqual([[[peer, role, 'home']]])
    }
    await changeByTurns([`ALTER ROLE ${peer} RENAME TO former_${peer}`, `CREATE ROLE ${peer}`])
    const refusal = await look(asPeer(direct), [who])
    expect(refusal).toContain('42501')
    for (const url of [first, second]) {
      expect(String(await look(asPeer(url), [who])).slice(0, 5)).toBe('42501')
    }
    await changeByTurns([`REVOKE former_${peer} FROM ${role}`])
    await expectAsDirectly({ user: role }, [`SET ROLE former_${peer}`, who])
    await endAll(stay)
  })

  it('what refuses a log-in refuses it at once, in the same words, and lets it in again', async () => {
    const { role, database } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'`)
    await admin(`CREATE DATABASE ${database}`)
    await admin(
      `REVOKE CONNECT ON DATABASE ${database} FROM PUBLIC; GRANT CONNECT ON DATABASE ${database} TO ${role}`,
    )
    await cluster.catchUp()
    const person = { user: role, database }
    const stay = await warm(person)
    const steps: readonly [string, string, string][] = [
      [`ALTER ROLE ${role} NOLOGIN`, `ALTER ROLE ${role} LOGIN`, '28000'],
      [
        `ALTER ROLE ${role} VALID UNTIL '2001-01-01'`,
        `ALTER ROLE ${role} VALID UNTIL 'infinity'`,
        '28P01',
      ],
      [`ALTER ROLE ${role} CONNECTION LIMIT 0`, `ALTER ROLE ${role} CONNECTION LIMIT -1`, '53300'],
      [`ALTER ROLE ${role} PASSWORD 'two'`, `ALTER ROLE ${role} PASSWORD 'one'`, '28P01'],
      [`ALTER ROLE ${role} PASSWORD NULL`, `ALTER ROLE ${role} PASSWORD 'one'`, '28P01'],
      [
        `REVOKE CONNECT ON DATABASE ${database} FROM ${role}`,
        `GRANT CONNECT ON DATABASE ${database} TO ${role}`,
        '42501',
      ],
      [
        `ALTER DATABASE ${database} CONNECTION LIMIT 0`,
        `ALTER DATABASE ${database} CONNECTION LIMIT -1`,
        '53300',
      ],
      [
        `ALTER DATABASE ${database} ALLOW_CONNECTIONS false`,
        `ALTER DATABASE ${database} ALLOW_CONNECTIONS true`,
        '55000',
      ],
    ]
    const { direct, one: first, other: second } = urls(person)
    for (const [forbid, allow, code] of steps) {
      await changeByTurns([forbid])
      const expected = await look(direct, [who])
      expect(expected, forbid).toContain(code)
      for (const url of [first, second]) expect(await look(url, [who])).toEqual(expected)
      // Who is in stays in.
      for (const client of stay)
        expect((await client.query('SELECT 1 AS n')).rows).toEqual([{ n: 1 }])
      await changeByTurns([allow])
      for (const url of [first, second]) {
        expect(await look(url, [who])).toEqual([[[role, role, database]]])
      }
    }
    await endAll(stay)
  })

  it('settings of a role and a database are those that were made last', async () => {
    const { role } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'`)
    await cluster.catchUp()
    const stay = await warm({ user: role })
    const ask = "SELECT current_setting('work_mem'), current_setting('app.tenant', true)"
    await changeByTurns([
      `ALTER ROLE ${role} SET work_mem = '7MB'`,
      `ALTER ROLE ${role} IN DATABASE home SET app.tenant = 'blue'`,
    ])
    expect(await expectAsDirectly({ user: role }, [ask])).toEqual([[['7MB', 'blue']]])
    await changeByTurns([
      `ALTER ROLE ${role} RESET ALL`,
      `ALTER ROLE ${role} IN DATABASE home RESET ALL`,
    ])
    await expectAsDirectly({ user: role }, [ask])
    await endAll(stay)
  })

  it('a schema and its tables are whose they are now', async () => {
    const { role, peer } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'; CREATE ROLE ${peer};
      CREATE SCHEMA s_${role} AUTHORIZATION ${role}; CREATE TABLE s_${role}.t (n int);
      ALTER TABLE s_${role}.t OWNER TO ${role}`)
    await cluster.catchUp()
    const stay = await warm({ user: role })
    const questions = [`SELECT * FROM s_${role}.t`, who]
    expect((await expectAsDirectly({ user: role }, questions)) as unknown[]).toContainEqual([])
    await changeByTurns([`REASSIGN OWNED BY ${role} TO ${peer}`])
    expect(String(await expectAsDirectly({ user: role }, questions))).toContain('42501')
    await changeByTurns([`GRANT ${peer} TO ${role}`])
    await expectAsDirectly({ user: role }, questions)
    await changeByTurns([
      `ALTER SCHEMA s_${role} RENAME TO former_${role}`,
      `CREATE SCHEMA s_${role}`,
    ])
    expect(String(await expectAsDirectly({ user: role }, questions))).toContain('42')
    await changeByTurns([`DROP SCHEMA former_${role} CASCADE`, `DROP SCHEMA s_${role}`])
    await expectAsDirectly({ user: role }, questions)
    await endAll(stay)
  })
})

describe('replicas that have not replayed the change yet', () => {
  const pauseAll = async (isPaused: boolean): Promise<void> => {
    const text = `SELECT pg_wal_replay_${isPaused ? 'pause' : 'resume'}()`
    await Promise.all(cluster.replicas.map((replica) => replica.query(text, [], 'postgres')))
  }

  it('serve nobody under a name that is somebody else there', async () => {
    const { role, peer, database } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'`)
    await admin(`CREATE DATABASE ${database}`)
    await admin(
      "CREATE TABLE mark (text) AS SELECT 'old'; GRANT SELECT ON mark TO PUBLIC",
      database,
    )
    await cluster.catchUp()
    const stay = [...(await warm({ user: role })), ...(await warm({ user: role, database }))]
    await pauseAll(true)
    try {
      await change('beside pgsplit', [
        `ALTER ROLE ${role} RENAME TO ${peer}`,
        `CREATE ROLE ${role} LOGIN PASSWORD 'one'`,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}'`,
        `ALTER DATABASE ${database} RENAME TO former_${database}`,
        `CREATE DATABASE ${database}`,
      ])
      await admin(
        "CREATE TABLE mark (text) AS SELECT 'new'; GRANT SELECT ON mark TO PUBLIC",
        database,
      )
      const person = { user: role, database }
      const questions = [who, 'SELECT text FROM mark']
      const expected = await look(urls(person).direct, questions)
      expect(expected).toEqual([[[role, role, database]], [['new']]])
      for (const url of [urls(person).one, urls(person).other]) {
        for (const hint of anyNode) expect(await look(url, questions, hint)).toEqual(expected)
      }
    } finally {
      await pauseAll(false)
    }
    await cluster.catchUp()
    // Then they serve again.
    await one.with(
      async (client) => {
        await waitFor('a read on a replica', async () => {
          await client.query('SELECT text FROM mark')
          const { rows } = await client.query('SHOW pgsplit.last_route')
          return /^r[12]:/.test(String(Object.values(rows[0])[0])) || undefined
        })
      },
      { user: role, password: 'one', database },
    )
    await endAll(stay)
  })

  it('let nobody be a superuser who is none any more, nor in a role that was taken', async () => {
    const { role, peer } = names()
    await admin(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD 'one'; CREATE ROLE ${peer}`)
    await cluster.catchUp()
    const stay = await warm({ user: role })
    await pauseAll(true)
    try {
      await change('beside pgsplit', [`ALTER ROLE ${role} NOSUPERUSER`])
      for (const url of [urls({ user: role }).one, urls({ user: role }).other]) {
        for (const hint of anyNode) {
          const [rows] = (await look(url, [isSuper], hint)) as unknown[]
          expect(rows).toEqual([[false]])
        }
      }
      // Who was there before finds it out soon.
      for (const client of stay) {
        await waitFor('the client to be nobody special', async () => {
          const { rows } = await client.query(`/* pgsplit: replica */ ${isSuper}`)
          return rows[0]?.rolsuper === false || undefined
        })
      }
    } finally {
      await pauseAll(false)
    }
    await endAll(stay)
  })
})

describe('further ways to become somebody else', () => {
  it('two roles that have changed names are each other', async () => {
    const { role, peer } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'; CREATE ROLE ${peer} LOGIN PASSWORD 'two';
      CREATE TABLE of_${role} (n int); ALTER TABLE of_${role} OWNER TO ${role}`)
    await cluster.catchUp()
    const stay = [...(await warm({ user: role })), ...(await warm({ user: peer, password: 'two' }))]
    await changeByTurns([
      `ALTER ROLE ${role} RENAME TO between_${role}`,
      `ALTER ROLE ${peer} RENAME TO ${role}`,
      `ALTER ROLE between_${role} RENAME TO ${peer}`,
    ])
    const questions = [who, `SELECT * FROM of_${role}`]
    const [, refused] = (await expectAsDirectly(
      { user: role, password: 'two' },
      questions,
    )) as unknown[]
    expect(refused).toContain('42501')
    await expectAsDirectly({ user: peer, password: 'one' }, questions)
    await expectAsDirectly({ user: role, password: 'one' }, questions)
    await endAll(stay)
  })

  it('two databases that have changed names are each other', async () => {
    const { role, database } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'`)
    const other = `other_${database}`
    for (const name of [database, other]) {
      await admin(`CREATE DATABASE ${name}`)
      await admin(
        `CREATE TABLE mark (text) AS SELECT '${name}'; GRANT SELECT ON mark TO PUBLIC`,
        name,
      )
    }
    await cluster.catchUp()
    const stay = [
      ...(await warm({ user: role, database })),
      ...(await warm({ user: role, database: other })),
    ]
    const send = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE '%${database}'`
    await changeByTurns([
      send,
      `ALTER DATABASE ${database} RENAME TO between_${database}`,
      send,
      `ALTER DATABASE ${other} RENAME TO ${database}`,
      send,
      `ALTER DATABASE between_${database} RENAME TO ${other}`,
    ])
    const ask = ['SELECT text FROM mark', 'SELECT current_database()']
    expect(await expectAsDirectly({ user: role, database }, ask)).toEqual([[[other]], [[database]]])
    expect(await expectAsDirectly({ user: role, database: other }, ask)).toEqual([
      [[database]],
      [[other]],
    ])
    await endAll(stay)
  })

  it('who has taken a role is sent away when somebody else has its name', async () => {
    const { role, peer } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'; CREATE ROLE ${peer}; GRANT ${peer} TO ${role};
      CREATE TABLE of_${peer} (n int); ALTER TABLE of_${peer} OWNER TO ${peer}`)
    await cluster.catchUp()
    const { direct, one: first, other: second } = urls({ user: role })
    const open = async (connectionString: string): Promise<pg.Client> => {
      const client = new pg.Client({ connectionString })
      client.on('error', () => {})
      await client.connect()
      await client.query(`SET ROLE ${peer}`)
      for (const hint of anyNode) await client.query(`${hint}SELECT n FROM of_${peer}`)
      return client
    }
    const clients = await Promise.all([direct, first, second].map(open))
    await bothHaveLooked()
    await changeByTurns([
      `ALTER ROLE ${peer} RENAME TO former_${peer}`,
      `CREATE ROLE ${peer}`,
      `GRANT ${peer} TO ${role}`,
    ])
    await cluster.catchUp()
    const [kept, ...others] = clients
    const own = `SELECT current_user::text AS name, n FROM of_${peer} RIGHT JOIN (SELECT) x ON true`
    expect((await kept?.query(own))?.rows).toEqual([{ name: `former_${peer}`, n: null }])
    for (const client of others) {
      await waitFor('the client to be sent away', () =>
        client.query(own).then(
          () => undefined,
          ({ code, message }: { code?: string; message: string }) =>
            code === '57P01' || /not queryable|terminated/.test(message) || undefined,
        ),
      )
    }
    await endAll(clients)
  })

  it('a password that expires while its role is known lets nobody in', async () => {
    const { role } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'`)
    const [row] = await sql<{ at: string }>(
      cluster.primary.url,
      "SELECT (now() + interval '3 s')::text AS at",
    )
    await admin(`ALTER ROLE ${role} VALID UNTIL '${row?.at}'`)
    await cluster.catchUp()
    const stay = await warm({ user: role })
    await waitFor('the password to expire', async () => {
      const answer = await look(urls({ user: role }).direct, [who])
      return (typeof answer === 'string' && answer.includes('28P01')) || undefined
    })
    expect(await expectAsDirectly({ user: role }, [who])).toContain('28P01')
    await endAll(stay)
  })

  it('what is changed in a transaction counts from its COMMIT, and not at all behind a ROLLBACK', async () => {
    const { role } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one'`)
    await cluster.catchUp()
    const stay = await warm({ user: role })
    const { direct, one: first } = urls({ user: role })
    for (const [url, end] of [
      [one.url(), 'ROLLBACK'],
      [cluster.primary.urlFor('home'), 'ROLLBACK'],
      [one.url(), 'COMMIT'],
    ] as const) {
      const changer = new pg.Client({ connectionString: url })
      await changer.connect()
      await changer.query('BEGIN')
      await changer.query(`DO $$BEGIN EXECUTE 'ALTER ROLE ' || '${role} PASSWORD ''two'''; END$$`)
      for (const at of [direct, first])
        expect(await look(at, [who])).toEqual([[[role, role, 'home']]])
      await changer.query(end)
      await changer.end()
      expect(await look(first, [who])).toEqual(await look(direct, [who]))
    }
    await expectAsDirectly({ user: role, password: 'two' }, [who])
    expect(await expectAsDirectly({ user: role }, [who])).toContain('28P01')
    await endAll(stay)
  })

  it('what a role may by its groups, it may no more when it has left them', async () => {
    const { role, peer, database } = names()
    await admin(`CREATE ROLE ${role} LOGIN PASSWORD 'one' BYPASSRLS; CREATE ROLE ${peer};
      GRANT ${peer} TO ${role}; CREATE TABLE of_${peer} (n int); INSERT INTO of_${peer} VALUES (1);
      ALTER TABLE of_${peer} ENABLE ROW LEVEL SECURITY; GRANT SELECT ON of_${peer} TO ${peer}`)
    await admin(`CREATE DATABASE ${database}`)
    await admin(`REVOKE CONNECT ON DATABASE ${database} FROM PUBLIC;
      GRANT CONNECT ON DATABASE ${database} TO ${peer}`)
    await cluster.catchUp()
    const stay = [...(await warm({ user: role })), ...(await warm({ user: role, database }))]
    const questions = [`SELECT n FROM of_${peer}`]
    expect(await expectAsDirectly({ user: role }, questions)).toEqual([[[1]]])
    await changeByTurns([`ALTER ROLE ${role} NOBYPASSRLS`])
    expect(await expectAsDirectly({ user: role }, questions)).toEqual([[]])
    await changeByTurns([`ALTER ROLE ${role} NOINHERIT`, `REVOKE ${peer} FROM ${role}`])
    expect(String(await expectAsDirectly({ user: role }, questions))).toContain('42501')
    expect(await expectAsDirectly({ user: role, database }, [who])).toContain('42501')
    await endAll(stay)
  })
})

/** The first value, or '' where there is none. */
function seen(answers: string | unknown[]): string {
  const rows = typeof answers === 'string' ? null : answers[0]
  return Array.isArray(rows) ? String(rows[0]?.[0] ?? '') : ''
}
