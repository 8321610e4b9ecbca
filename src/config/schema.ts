/**
 * What a configuration may contain. The parser, the JSON Schema and the reference table in docs/
 * are made of this one description.
 */
import * as z from 'zod'
import {
  choice,
  duration,
  expected,
  integer,
  listenAddresses,
  name,
  secretText,
  section,
  size,
  text,
} from './scalars.ts'
import { clusterSchema } from './schema-cluster.ts'
import { httpSchema } from './schema-http.ts'

const file = 'a PEM file'

const clientTls = section(
  {
    mode: choice(['disable', 'allow', 'require', 'verify-ca', 'verify-full'], {
      description:
        '`allow`: TLS for clients that ask for it; `require`: no client without; `verify-ca`: and with a certificate of `ca`; `verify-full`: whose common name is the user.',
      otherwise: '`allow` with `cert`, else `disable`',
    }).optional(),
    cert: text(file, {
      description: "pgsplit's certificate chain. Relative to the configuration file.",
    }).optional(),
    key: text(file, {
      description: 'Its private key. Relative to the configuration file.',
    }).optional(),
    ca: text(file, {
      description: 'Certificate authorities of the clients. Relative to the configuration file.',
    }).optional(),
  },
  'TLS from the clients.',
)

const limits = section(
  {
    maxClients: integer(
      {
        description: 'Client connections at a time.',
        limit: 'Further ones are refused with SQLSTATE 53300.',
      },
      { min: 1, max: 1_000_000 },
    ).prefault(2000),
    maxUnauthenticated: integer(
      {
        description: 'Connections at a time that have not logged in yet.',
        limit:
          'One of them is refused with SQLSTATE 53300: of the address with the most, of those that have said least, the oldest.',
      },
      { min: 1, max: 1_000_000 },
    ).prefault(1000),
    authTimeout: duration(
      { description: 'Time to log in.', limit: 'The connection is closed with SQLSTATE 57014.' },
      { min: 100 },
    ).prefault('15s'),
    maxFrameBytes: size(
      {
        description: 'Longest message of the protocol that is accepted.',
        limit: 'The connection is closed with SQLSTATE 08P01.',
      },
      { min: 1024, max: 0x7fff_ffff },
    ).prefault('1GB'),
    maxBufferedRequest: size(
      {
        description:
          'Longest message of a client that is collected to be judged; COPY data and long values are streamed.',
        limit: 'A longer statement is passed on unread: to the primary, and the session is pinned.',
      },
      { min: 1024, max: 1024 ** 3 },
    ).prefault('16MB'),
    retryMaxBytes: size(
      {
        description: 'Longest read that is kept to be run again on another node.',
        limit: 'A longer one gets the error.',
      },
      { min: 0, max: 1024 ** 3 },
    ).prefault('64kB'),
    drainTimeout: duration({
      description: 'Time that requests in flight have to finish at shutdown.',
      limit: 'Clients that are left are disconnected with SQLSTATE 57P01.',
    }).prefault('30s'),
  },
  'What one pgsplit takes on.',
)

const adminUser = z
  .union(
    [
      name('a role name', { description: 'A role of the first cluster.' }),
      section(
        {
          name: name('a role name', { description: 'Name of the user.' }),
          password: secretText('a password', { description: 'Password.' }).optional(),
          verifier: secretText('a verifier', {
            description: 'Instead of the password: `SCRAM-SHA-256$…` or `md5…`.',
          }).optional(),
        },
        'A user with a credential of its own.',
      ),
    ],
    expected('a role name or a section with name and password', true),
  )
  .meta({ description: 'A role of the first cluster, or a user with a password of its own.' })

const admin = section(
  {
    database: name('a database name', {
      description: 'Name of the admin database (`SHOW NODES`, `SHOW POOLS` …).',
    }).prefault('pgsplit'),
    users: z
      .array(adminUser, expected('a list of users', true))
      .meta({
        description: 'Who may connect to the admin database.',
        'x-default': "the monitors' users",
      })
      .optional(),
    readers: z
      .array(adminUser, expected('a list of users', true))
      .meta({
        description: 'Who may connect to the admin database (and to the HTTP door) only to look.',
      })
      .prefault([]),
  },
  'The admin database.',
)

const auth = section(
  {
    mockSecret: secretText('at least 16 characters', {
      description:
        'What salts of users that do not exist are made from, so that nobody learns who exists. Instances behind one address need the same, best from a variable of the environment.',
      otherwise: 'made up at each start',
    }).optional(),
  },
  'Log-in at all clusters.',
)

const log = section(
  {
    level: choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
      description:
        'What is logged: what happens to nodes, clients and connections, never statements.',
    }).prefault('info'),
    format: choice(['json', 'pretty'], {
      description: 'One JSON object per line, or lines for people.',
    }).prefault('json'),
  },
  'The log, on standard error.',
)

/** Names of clusters stand in paths of errors and in `SHOW`, so they are plain words. */
const clusterName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_-]{0,62}$/)

export const configSchema = section(
  {
    listen: listenAddresses({
      description: 'Where clients connect: `host:port`, or a list. `*:6432` is every interface.',
    }).prefault('127.0.0.1:6432'),
    clusters: z
      .record(clusterName, clusterSchema, expected('a section with one cluster per name'))
      .meta({ description: 'The clusters by name; at least one.' }),
    tls: clientTls.prefault({}),
    limits: limits.prefault({}),
    admin: admin.prefault({}),
    http: httpSchema.optional(),
    auth: auth.prefault({}),
    log: log.prefault({}),
  },
  'Configuration of pgsplit.',
)

export type ConfigInput = z.output<typeof configSchema>
