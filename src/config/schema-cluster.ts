/** What a cluster's section may contain, and what each option means. */
import * as z from 'zod'
import { consistencyLevels, transactionReads, transactionStarts } from '../consistency.ts'
import {
  choice,
  duration,
  expected,
  flag,
  integer,
  name,
  secretText,
  section,
  size,
  text,
} from './scalars.ts'
import { discoverySchema } from './schema-discovery.ts'
import { grants } from './schema-grants.ts'
import { serverTlsSchema } from './schema-server-tls.ts'

const nodeObject = section(
  {
    url: secretText('a connection URL such as postgres://monitor:secret@10.0.0.1:5432/postgres', {
      description:
        "Where the node is: `postgres://user:password@host:port/database?sslmode=…` or `host=… port=… user=…`, as libpq reads them. User and password are the monitor's own.",
    }),
    name: name('a node name', {
      description: 'Short name of the node in logs, `SHOW NODES` and routing reasons.',
      otherwise: '`host:port`',
    }).optional(),
    zone: text('a zone name', {
      description:
        'Zone of the node. Reads stay in `routing.zone` while an eligible replica is there.',
    }).optional(),
    weight: integer(
      {
        description: 'Share of the reads, relative to the other replicas.',
        unit: '1 to 1000',
      },
      { min: 1, max: 1000 },
    ).prefault(1),
    maxConnections: integer(
      {
        description:
          'Connections for clients that pgsplit may open to the node in all, over all users and databases.',
        otherwise: 'no limit but those of `pool.size`',
        limit:
          'Requests wait for `pool.checkoutTimeout`; an idle connection of another user or database makes way.',
      },
      { min: 1, max: 100_000 },
    ).optional(),
  },
  'A node with its options.',
)

const node = z
  .union(
    [nodeObject.shape.url, nodeObject],
    expected('a connection URL or a section with url', true),
  )
  .meta({ description: 'A node: its connection URL, or a section with `url` and options.' })

const monitor = section(
  {
    user: name('a role name', {
      description:
        'Role that pgsplit itself logs in as, to probe the nodes and read the catalog. Best a member of `pg_monitor`.',
      otherwise: 'from the URL',
    }).optional(),
    password: secretText('a password', {
      description: 'Its password.',
      otherwise: 'from the URL',
    }).optional(),
    database: name('a database name', {
      description: 'Database that the monitor connects to.',
      otherwise: 'from the URL, else `postgres`',
    }).optional(),
    probeInterval: duration(
      { description: 'Time between two probes of a node.' },
      { min: 50 },
    ).prefault('1s'),
    probeTimeout: duration(
      {
        description: 'How long a probe may take.',
        limit: 'It counts as failed and its connection is closed.',
      },
      { min: 50 },
    ).prefault('2s'),
    rise: integer(
      { description: 'Successful probes in a row that bring a node back.' },
      { min: 1, max: 100 },
    ).prefault(2),
    fall: integer(
      {
        description: 'Failed probes in a row that take a node out.',
        limit: 'Its requests go to other nodes.',
      },
      { min: 1, max: 100 },
    ).prefault(2),
    maxCatalogs: integer(
      {
        description:
          'Databases whose catalog is watched at a time, each over a connection of its own to the primary, while clients are connected to them.',
        limit: 'Reads in further databases run on the primary.',
      },
      { min: 1, max: 10_000 },
    ).prefault(50),
  },
  'How pgsplit watches the nodes.',
)

const routing = section(
  {
    balancer: choice(
      ['least-connections', 'round-robin', 'weighted-random', 'ip-hash', 'latency'],
      { description: 'How a replica is chosen among the eligible ones.' },
    ).prefault('least-connections'),
    maxLag: duration({
      description: 'How far a replica may lag behind the primary and still serve reads.',
      limit: 'The replica gets no reads until it is within `maxLagResume` again.',
    }).prefault('10s'),
    maxLagResume: duration({
      description: 'Lag at which a replica that was beyond `maxLag` serves again.',
      otherwise: 'half of `maxLag`',
    }).optional(),
    fallbackToPrimary: flag({
      description: 'Send reads to the primary when no replica is eligible.',
      limit: 'With false they fail with SQLSTATE 57P03 and the reason.',
    }).prefault(true),
    consistency: choice([...consistencyLevels], {
      description:
        '`strict`: a read sees every commit that was acknowledged to anybody before it came in, here or elsewhere; `shared`: every one of its user and database through this instance; `session`: a client sees its own writes; with all three it never reads backwards, and reads from the primary until a replica has what it must see; `bounded`: data is at most `maxLag` old when the read begins; `eventual`: a read may come from any replica within `maxLag` as last probed, also right after a write; `primary`: no splitting.',
    }).prefault('shared'),
    transactions: choice([...transactionStarts], {
      description:
        '`optimistic`: a READ COMMITTED transaction that says neither READ ONLY nor READ WRITE begins on a replica if its first statement is a read; the first one that is not moves it to the primary, unseen, where it goes on; `primary`: it runs on the primary.',
    }).prefault('primary'),
    transactionReads: choice([...transactionReads], {
      description:
        'What reads of such transactions promise, as `consistency` does for others: `strict`, so that nobody can tell where they run, or `session` for less latency.',
    }).prefault('strict'),
    causalWait: duration({
      description:
        'How long a read of a session that has written may wait for a replica that has what it wrote and saw, as long as one is likely to have it in time; 0 sends it to the primary at once.',
      limit: 'The read goes to the primary.',
    }).prefault('20ms'),
    readTimeout: duration(
      {
        description:
          'How long a read may wait for a replica that gives no sign of life, on any connection.',
        limit: 'Reads that wait there run elsewhere.',
      },
      { min: 10 },
    ).prefault('5s'),
    retryBudget: integer(
      {
        description: 'Requests that may be run again, in per cent of all requests.',
        limit: 'A thousand are always possible; beyond that the client gets the error.',
      },
      { min: 0, max: 100 },
    ).prefault(20),
    zone: text('a zone name', { description: 'Zone that this pgsplit runs in.' }).optional(),
    maxFails: integer(
      {
        description: 'Failed requests in a row, within `failTimeout`, that ban a replica.',
        limit: 'It gets no requests for that time.',
      },
      { min: 1, max: 1000 },
    ).prefault(3),
    failTimeout: duration({
      description:
        'Window in which failures are counted, and length of the first ban; each further one in a row is twice as long, up to 32 times.',
    }).prefault('10s'),
    slowStart: duration({
      description:
        'Time in which a replica that came back is eased in; 0 gives it its full share at once.',
    }).prefault('10s'),
  },
  'Which node may serve a statement.',
)

const failover = section(
  {
    holdWrites: duration({
      description:
        'How long writes and transactions wait for a primary while there is none; 0 refuses them at once.',
      limit: 'They fail with SQLSTATE 57P03; nothing of them was done.',
    }).prefault('10s'),
    pauseTimeout: duration({
      description:
        'How long `PAUSE` in the admin database waits for what runs, and how long requests wait for `RESUME`.',
      limit:
        'A PAUSE that waited so long is taken back; a request that did fails with SQLSTATE 57P03, and nothing of it was done.',
    }).prefault('60s'),
    maxHeld: integer(
      {
        description: 'Requests that may wait for a primary, or for `RESUME`, at once.',
        limit: 'Further ones fail at once with SQLSTATE 57P03.',
      },
      { min: 0, max: 1_000_000 },
    ).prefault(10_000),
    maxHeldBytes: size(
      {
        description:
          'Memory that such requests may take in all; the first one is held in any case.',
        limit: 'Further ones fail at once with SQLSTATE 57P03.',
      },
      { min: 0, max: 1024 ** 4 },
    ).prefault('256MB'),
  },
  'What happens while there is no primary, or while the cluster is paused.',
)

const pool = section(
  {
    mode: choice(['transaction', 'session'], {
      description:
        'When a client gives its server connection back: after each transaction, or when it disconnects.',
    }).prefault('transaction'),
    size: integer(
      {
        description: 'Server connections per node, user and database.',
        limit: 'Further requests wait up to `checkoutTimeout`.',
      },
      { min: 1, max: 10_000 },
    ).prefault(20),
    reserve: integer(
      {
        description:
          'Connections kept of each pool, in per cent: that many for clients that are not pinned and, on the primary, of what those have as many for writes and transactions, beside reads. From `size` 4 on there is one at least for a write and for a read, and of 3 one for who is not pinned; smaller ones may all be pinned. 0 keeps none.',
        limit:
          'Reads run on another node; those that can not, and what would pin, wait up to `checkoutTimeout`.',
      },
      { min: 0, max: 90 },
    ).prefault(25),
    checkoutTimeout: duration({
      description: 'How long a request may wait for a server connection.',
      limit: 'It fails with SQLSTATE 53300.',
    }).prefault('5s'),
    idleTimeout: duration({
      description: 'Age at which an unused server connection is closed; 0 means never.',
    }).prefault('10m'),
    maxLifetime: duration({
      description: 'Age at which a server connection is closed once it is free; 0 means never.',
    }).prefault('1h'),
    connectTimeout: duration(
      {
        description: 'How long connecting and logging in to a node may take.',
        limit: 'The node counts one failure; reads go elsewhere.',
      },
      { min: 10 },
    ).prefault('5s'),
    preparedStatements: integer(
      {
        description: 'Prepared statements kept on each server connection.',
        limit: 'The one unused for longest is closed; it is prepared again when needed.',
      },
      { min: 1, max: 100_000 },
    ).prefault(200),
  },
  'Connections to the nodes.',
)

const user = section(
  {
    name: name('a role name', { description: 'Name that the client gives.' }),
    password: secretText('a password', {
      description: 'Password that the client must prove. Either this or `verifier`.',
    }).optional(),
    verifier: secretText('a verifier', {
      description: 'What `pg_authid.rolpassword` holds for the role: `SCRAM-SHA-256$…` or `md5…`.',
    }).optional(),
    serverUser: name('a role name', {
      description: 'Role at the servers.',
      otherwise: 'the same name',
    }).optional(),
    serverPassword: secretText('a password', {
      description: 'Password at the servers.',
      otherwise: '`password`, or what the client proved',
    }).optional(),
    ...grants,
  },
  'A user with a credential of its own, or with what is said of it here.',
)

/** One name or address, or a list of them. */
function oneOrMore(what: string, description: string) {
  const one = text(what, { description })
  return z
    .union([one, z.array(one).min(1)], expected(`${what}, or a list of them`))
    .transform((value) => (typeof value === 'string' ? [value] : value))
    .meta({ description, 'x-default': '`all`' })
    .optional()
}

const rule = section(
  {
    user: oneOrMore('a user name', 'Users that clients give, or `all`.'),
    database: oneOrMore('a database name', 'Databases that clients ask for, or `all`.'),
    address: oneOrMore(
      'an address such as 10.0.0.0/8 or ::1',
      'Addresses of clients, with the length of their network, or `all`.',
    ),
    application: oneOrMore(
      'an application name',
      'Values of `application_name` that clients give at log-in, or `all`. Clients choose it themselves: it tells them apart, and keeps nobody out.',
    ),
    tls: choice(['any', 'required', 'certificate'], {
      description:
        '`required`: the rule is for clients with TLS only; `certificate`: for those with a verified client certificate only.',
    }).prefault('any'),
    method: choice(['allow', 'reject'], {
      description: 'Whether the clients that the rule is for may log in.',
    }).prefault('allow'),
    ...grants,
  },
  'A rule, as a line of pg_hba.conf, with what the clients get that it is for.',
)

const auth = section(
  {
    method: choice(['scram-sha-256', 'md5', 'trust', 'cert'], {
      description:
        'How clients prove who they are. `trust` asks nothing; `cert` takes the common name of the client certificate and needs `tls.mode: verify-ca` or `verify-full`.',
    }).prefault('scram-sha-256'),
    lookup: text('auto, pg_authid, off or the name of a function', {
      description:
        "Where the verifier of a role that is not listed under `users` is read: `pg_authid` (the monitor must be a superuser), the name of a SECURITY DEFINER function in its database, or `off`. `auto`: `pg_authid` if the monitor may read it, else `pgsplit.role_secret` as `pgsplit setup` makes it, if it is a superuser's.",
    }).prefault('auto'),
    users: z
      .array(user, expected('a list of users', true))
      .meta({ description: 'Users with a credential of their own. Others are looked up.' })
      .prefault([]),
    rules: z
      .array(rule, expected('a list of rules'))
      .meta({
        description:
          'Who may connect from where, as pg_hba.conf says it: the first rule that matches decides, also what the client gets beside, and a client that none matches is refused. Absent: everybody. What `users` says of a client goes before what its rule says.',
        'x-default': '–',
      })
      .optional(),
    pgHba: choice(['follow', 'ignore'], {
      description:
        "`follow`: clients are refused that the primary's pg_hba.conf rejects by their own address, or would not let in without TLS, if the monitor may read `pg_hba_file_rules`.",
    }).prefault('follow'),
  },
  'Who may connect, and as whom at the servers.',
)

/** One cluster: a primary and its replicas, with everything that is said per cluster. */
export const clusterSchema = section(
  {
    databases: z
      .array(
        name('a database name', { description: 'A database name, or `*`.' }),
        expected('a list of database names'),
      )
      .min(1, expected('at least one database name, or *'))
      .meta({
        description:
          'Databases that clients may ask for here; `*` is every name that no other cluster lists.',
      })
      .prefault(['*']),
    primary: node.optional().meta({
      description: 'The primary: its connection URL, or a section with `url` and options.',
      'x-default': '*required* without `discovery`',
    }),
    replicas: z
      .array(node, expected('a list of nodes', true))
      .meta({ description: 'The replicas (standbys).' })
      .prefault([]),
    discovery: discoverySchema.prefault({}),
    monitor: monitor.prefault({}),
    routing: routing.prefault({}),
    failover: failover.prefault({}),
    pool: pool.prefault({}),
    auth: auth.prefault({}),
    tls: serverTlsSchema.prefault({}),
  },
  'A primary and its replicas.',
)

export type ClusterInput = z.output<typeof clusterSchema>

/** The same as it is written: durations and sizes as text or numbers, what has a default left out. */
export type ClusterOptions = z.input<typeof clusterSchema>
