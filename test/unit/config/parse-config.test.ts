// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is the configuration's syntax
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MockVerifiers } from '../../../src/auth/mock-verifier.ts'
import { configFromFlags } from '../../../src/config/config-from-flags.ts'
import { parseConfig } from '../../../src/config/parse-config.ts'
import { referenceRows } from '../../../src/config/reference.ts'
import { ConfigError } from '../../../src/errors.ts'

const primary = 'postgres://monitor:hunter2@10.0.0.1/app'
const main = (options: object) => ({ clusters: { main: { primary, ...options } } })
const verifier = `SCRAM-SHA-256$4096:c2FsdA==$${'a'.repeat(43)}=:${'b'.repeat(43)}=`

describe('a configuration', () => {
  it('fills in every default', () => {
    const config = parseConfig(main({ replicas: ['postgres://monitor@10.0.0.2:5433'] }))
    expect(config).toMatchObject({
      listen: [{ host: '127.0.0.1', port: 6432 }],
      clusters: [
        {
          name: 'main',
          databases: ['*'],
          nodes: [
            { name: '10.0.0.1:5432', role: 'primary', host: '10.0.0.1', port: 5432, weight: 1 },
            {
              name: '10.0.0.2:5433',
              role: 'replica',
              host: '10.0.0.2',
              port: 5433,
              tls: { sslmode: 'prefer' },
            },
          ],
          monitor: {
            probeIntervalMs: 1000,
            probeTimeoutMs: 2000,
            rise: 2,
            fall: 2,
            maxCatalogs: 50,
          },
          routing: {
            balancer: 'least-connections',
            maxLagMs: 10_000,
            maxLagResumeMs: 5000,
            fallbackToPrimary: true,
            consistency: 'shared',
          },
          pool: { mode: 'transaction', size: 20, checkoutTimeoutMs: 5000 },
          auth: { method: 'scram-sha-256', lookup: { kind: 'auto' }, users: [] },
        },
      ],
      tls: { mode: 'disable' },
      limits: { maxClients: 2000, maxFrameBytes: 1024 ** 3, retryMaxBytes: 65_536 },
      admin: { database: 'pgsplit', users: [{ name: 'monitor' }] },
      log: { level: 'info', format: 'json' },
    })
    const [first, second] = config.clusters[0]?.nodes ?? []
    expect(first?.login.password?.reveal()).toBe('hunter2')
    expect(first?.login.database).toBe('app')
    expect(second?.login).toEqual({ user: 'monitor', password: undefined, database: 'postgres' })
  })

  it('takes numbers and truth values as text, as environment variables give them', () => {
    const env = { SIZE: '7', LAG: '2s', FALLBACK: 'false' }
    const { clusters } = parseConfig(
      main({
        pool: { size: '${SIZE}' },
        routing: { maxLag: '${LAG}', fallbackToPrimary: '${FALLBACK}' },
      }),
      { env },
    )
    expect(clusters[0]?.pool.size).toBe(7)
    expect(clusters[0]?.routing).toMatchObject({ maxLagMs: 2000, fallbackToPrimary: false })
  })

  it("lets the monitor's own options win over the URL", () => {
    const { clusters } = parseConfig(
      main({ monitor: { user: 'm', password: 'other', database: 'd' } }),
    )
    const login = clusters[0]?.nodes[0]?.login
    expect([login?.user, login?.password?.reveal(), login?.database]).toEqual(['m', 'other', 'd'])
  })

  it('keeps a catch-all cluster beside one with its own databases', () => {
    const { clusters } = parseConfig({
      clusters: {
        main: { primary },
        second: { primary: 'postgres://m@b', databases: ['billing'] },
      },
    })
    expect(clusters.map((cluster) => cluster.databases)).toEqual([['*'], ['billing']])
  })

  it('reads users, verifiers and their server roles', () => {
    const { clusters } = parseConfig(
      main({
        auth: {
          lookup: 'pgsplit.role_secret()',
          users: [
            { name: 'app', password: 'x' },
            { name: 'web', verifier, serverUser: 'app', serverPassword: 'y' },
          ],
        },
      }),
    )
    const auth = clusters[0]?.auth
    expect(auth?.lookup).toEqual({ kind: 'function', name: 'pgsplit.role_secret' })
    expect(auth?.users.map((user) => user.serverUser)).toEqual(['app', 'app'])
    expect(auth?.users[1]?.verifier?.reveal()).toBe(verifier)
  })

  it('shows no secret in whatever way it is printed', () => {
    const config = parseConfig(
      main({
        auth: { users: [{ name: 'a', password: 'hunter2' }] },
        monitor: { password: 'hunter2' },
      }),
    )
    const shown = [JSON.stringify(config), inspect(config, { depth: 20, showHidden: true })]
    shown.push(`${config.clusters[0]?.nodes[0]?.login.password}`)
    for (const text of shown) expect(text).not.toContain('hunter2')
  })

  it('is the same from flags as from a file', () => {
    const options = { env: { PW: 'p@ss' } }
    const fromFlags = configFromFlags(
      {
        primary: 'postgres://m:${PW}@a',
        replica: ['postgres://m@b', 'host=c user=m'],
        listen: ['127.0.0.1:7000'],
        balancer: 'latency',
        maxLag: '3s',
        poolSize: '9',
        logLevel: 'debug',
      },
      options,
    )
    const fromFile = parseConfig(
      {
        listen: '127.0.0.1:7000',
        clusters: {
          main: {
            primary: 'postgres://m:${PW}@a',
            replicas: ['postgres://m@b', { url: 'host=c user=m' }],
            routing: { balancer: 'latency', maxLag: 3000 },
            pool: { size: 9 },
          },
        },
        log: { level: 'debug' },
      },
      options,
    )
    expect(fromFlags).toEqual(fromFile)
    expect(fromFlags.clusters[0]?.nodes[0]?.login.password?.reveal()).toBe('p@ss')
  })
})

describe('a mistake in the configuration', () => {
  it.each([
    [{}, 'clusters: is missing; expected a section with one cluster per name'],
    [null, 'the configuration is empty; it needs clusters with a primary'],
    [{ clusters: {} }, 'clusters: has no cluster; name at least one'],
    [
      { clusters: { main: {} } },
      'clusters.main.primary: is missing; expected a connection URL or a section with url',
    ],
    [main({ pool: { sise: 3 } }), 'clusters.main.pool.sise: unknown option; did you mean size?'],
    [
      main({ monitor: { colour: 3 } }),
      'clusters.main.monitor.colour: unknown option; known here: user, password, database, probeInterval, probeTimeout, rise, fall, maxCatalogs',
    ],
    [
      main({ auth: { rules: [{ users: 'app' }] } }),
      'clusters.main.auth.rules[0].users: unknown option; did you mean user?',
    ],
    [
      main({ auth: { rules: [{}, { method: 'deny' }] } }),
      'clusters.main.auth.rules[1].method: expected one of allow, reject, got "deny"',
    ],
    [
      main({ auth: { rules: [{ address: ['10.0.0.0/8', '10.0.0.0/33'] }] } }),
      'clusters.main.auth.rules[0].address: "10.0.0.0/33" is no address such as 10.0.0.0/8 or ::1',
    ],
    [
      main({ auth: { rules: [{ user: '+staff' }] } }),
      'clusters.main.auth.rules[0].user: "+staff": groups and patterns are not known here; list names',
    ],
    [{ ...main({}), Listen: ':1' }, 'Listen: unknown option; did you mean listen?'],
    [
      main({ replicas: [{ ulr: primary }] }),
      'clusters.main.replicas[0].ulr: unknown option; did you mean url?',
    ],
    [
      main({ pool: { size: 'many' } }),
      'clusters.main.pool.size: expected a whole number from 1 to 10000, got "many"',
    ],
    [
      main({ pool: { mode: 'statement' } }),
      'clusters.main.pool.mode: expected one of transaction, session, got "statement"',
    ],
    [
      main({ routing: { maxLag: '10 parsecs' } }),
      'clusters.main.routing.maxLag: expected a duration such as 500ms, 10s or 1m, got "10 parsecs"',
    ],
    [
      main({ routing: { maxLag: '1s', maxLagResume: '2s' } }),
      'clusters.main.routing.maxLagResume: is more than maxLag; lower it or leave it out',
    ],
    [
      main({ routing: { fallbackToPrimary: 'maybe' } }),
      'clusters.main.routing.fallbackToPrimary: expected true or false, got "maybe"',
    ],
    [
      { ...main({}), limits: { maxFrameBytes: '1PB' } },
      'limits.maxFrameBytes: expected a size such as 64kB or 16MB from 1024 to 2147483647 bytes, got "1PB"',
    ],
    [
      { ...main({}), listen: 'localhost' },
      'listen: expected host:port, for example 127.0.0.1:6432 or [::1]:6432, got "localhost"',
    ],
    [main({ 'po\nol': 1 }), 'clusters.main.po?ol: unknown option; did you mean pool?'],
    [
      { clusters: { 'my cluster': { primary } } },
      'clusters.my cluster: not a name; use letters, digits, "_" and "-", starting with a letter, 63 at most',
    ],
    [
      main({ replicas: [primary] }),
      'clusters.main.replicas[0]: is the same server as clusters.main.primary (10.0.0.1 port 5432); name each node once',
    ],
    [
      main({ replicas: [{ url: 'postgres://m@b', name: '10.0.0.1:5432' }] }),
      'clusters.main.replicas[0].name: "10.0.0.1:5432" is taken; give each node its own name',
    ],
    [
      main({ primary: 'postgres://h' }),
      'clusters.main.primary: has no user; write postgres://user:password@host or monitor.user',
    ],
    [
      main({ primary: 'postgres://u:hunter2@h?sslmode=maybe' }),
      'clusters.main.primary: sslmode "maybe" is none of disable, allow, prefer, require, verify-ca, verify-full',
    ],
    [
      main({ auth: { users: [{ name: 'a', password: 'hunter2', verifier }] } }),
      'clusters.main.auth.users[0]: has both password and verifier; keep one',
    ],
    [
      main({ auth: { users: [{ name: 'a', verifier: 'hunter2' }] } }),
      'clusters.main.auth.users[0].verifier: is no verifier; copy pg_authid.rolpassword (SCRAM-SHA-256$… or md5…)',
    ],
    [main({ auth: { users: 'hunter2' } }), 'clusters.main.auth.users: expected a list of users'],
    [
      main({ auth: { users: [{ name: 'a', password: ['hunter2'] }] } }),
      'clusters.main.auth.users[0].password: expected a password',
    ],
    [
      main({ pool: 'postgres://u:hunter2@h' }),
      'clusters.main.pool: expected a section of options, got a connection string or credential',
    ],
    [
      main({ auth: { lookup: 'off' } }),
      'clusters.main.auth: nobody could log in: list users or set lookup to auto',
    ],
    [
      main({ auth: { lookup: 'drop table' } }),
      'clusters.main.auth.lookup: "drop table" is no function name; write auto, schema.function, pg_authid or off',
    ],
    [
      main({ auth: { method: 'cert' } }),
      'clusters.main.auth.method: cert needs tls.mode verify-ca or verify-full, not disable',
    ],
    [
      { ...main({}), tls: { mode: 'require' } },
      'tls.cert: TLS for clients needs a certificate; name a PEM file',
    ],
    [
      { ...main({}), tls: { cert: '/none.pem', key: 'k' } },
      'tls.cert: cannot read /none.pem (ENOENT)',
    ],
    [
      { clusters: { a: { primary }, b: { primary: 'postgres://m@b' } } },
      'clusters.b.databases[0]: "*" is already in cluster a; a database can lead to one cluster only; list the names of each',
    ],
    [
      {
        clusters: {
          a: { primary, auth: { method: 'trust' } },
          b: { primary: 'postgres://m@b', databases: ['b'] },
        },
      },
      "clusters.b.auth.method: differs from cluster a's (trust); use one method for all clusters",
    ],
    [
      main({ databases: ['pgsplit'] }),
      'clusters.main.databases[0]: "pgsplit" is the admin database; rename admin.database',
    ],
    [
      { ...main({}), admin: { users: [{ name: 'x' }] } },
      'admin.users[0]: needs either password or verifier',
    ],
  ])('%j is told as one line with its path', (value, message) => {
    let told = ''
    try {
      parseConfig(value)
    } catch (error) {
      told = error instanceof Error ? error.message : ''
    }
    expect(told).toBe(message)
    expect(told).not.toMatch(/hunter2|\n/)
  })

  it.each([
    [
      {},
      'no primary; give --primary postgres://user:password@host/postgres or --config pgsplit.yaml',
    ],
    [
      { primary, replica: ['postgres://m@b', 'postgres://m@c?x=1'] },
      '--replica 2: unknown parameter "x"; known are host, port, user, password, dbname, sslmode, sslrootcert, sslcert, sslkey, sslnegotiation',
    ],
    [{ primary, maxLag: 'x' }, '--max-lag: expected a duration such as 500ms, 10s or 1m, got "x"'],
    [
      { config: 'a.yaml', poolSize: '3' },
      '--pool-size: not together with --config; set clusters.main.pool.size in a.yaml',
    ],
  ])('in the flags %j names the flag', (flags, message) => {
    expect(() => configFromFlags(flags)).toThrow(message)
  })

  it('is a ConfigError of one line, whatever value stands wherever', () => {
    const paths = referenceRows().map((row) => row.path.replaceAll('<name>', 'main'))
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue({ maxDepth: 3 }), (path, value) => {
        const config = place(path.replaceAll('[]', '').split('.'), value)
        try {
          parseConfig(config)
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError)
          expect((error as ConfigError).message).not.toContain('\n')
        }
      }),
      { numRuns: 1000 },
    )
  })
})

/** A valid configuration with a value put in at a path. */
function place(path: readonly string[], value: unknown): unknown {
  const config: Record<string, unknown> = main({})
  let section = config
  for (const name of path.slice(0, -1)) {
    const inner = section[name]
    const next = typeof inner === 'object' && inner !== null ? { ...inner } : {}
    section[name] = next
    section = next as Record<string, unknown>
  }
  section[path.at(-1) ?? ''] = value
  return config
}

describe('auth.mockSecret', () => {
  const clusters = { main: { primary: 'postgres://m@h' } }
  const parse = (mockSecret: string) => {
    return parseConfig({ clusters, auth: { mockSecret } }, { env: { SALT: '0123456789abcdef' } })
  }

  it('comes from the environment, so that instances share it', () => {
    const [one, other] = [parse('${SALT}'), parse('${SALT}')]
    const saltOf = ({ auth }: typeof one) => {
      return new MockVerifiers(Buffer.from(auth.mockSecret?.reveal() ?? '')).for('nobody').salt
    }
    expect(saltOf(one)).toEqual(saltOf(other))
    expect(JSON.stringify(one)).not.toContain('0123456789abcdef')
    expect(parseConfig({ clusters }).auth.mockSecret).toBeUndefined()
  })

  it('is not too short, and not repeated in the error', () => {
    expect(() => parse('short')).toThrow(/^auth\.mockSecret: is too short; give 16/)
  })
})
