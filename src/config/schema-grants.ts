/** What the configuration may say of single users and of the clients that a rule is for. */
import { consistencyLevels } from '../consistency.ts'
import { choice, duration, integer, section, size } from './scalars.ts'

const limits = section(
  {
    connections: integer(
      {
        description: 'Connections of clients at a time.',
        otherwise: 'no limit but `limits.maxClients`',
        limit: 'A further one is refused with SQLSTATE 53300.',
      },
      { min: 1, max: 1_000_000 },
    ).optional(),
    concurrency: integer(
      {
        description:
          'Clients that may run a request or be in a transaction at a time; what goes on in an open transaction never waits.',
        otherwise: 'no limit but that of the pools',
        limit: 'Further requests wait up to `pool.checkoutTimeout`, then fail with SQLSTATE 53300.',
      },
      { min: 1, max: 1_000_000 },
    ).optional(),
    statementTime: duration(
      {
        description:
          'How long a request may run at its server. A text of several statements is one request. No setting of the client changes it.',
        otherwise: 'no limit but `statement_timeout`',
        limit:
          'It is cancelled: SQLSTATE 57014. If that does not end it within 5 s, the connection is closed.',
      },
      { min: 10 },
    ).optional(),
    rows: integer(
      {
        description: 'Rows of the answer to one request.',
        otherwise: 'no limit',
        limit:
          'The connection is closed with SQLSTATE 54000, and what still runs is cancelled: after a part of its rows no request can be told to have failed in any other way that every client understands.',
      },
      { min: 1, max: 1_000_000_000_000 },
    ).optional(),
    bytes: size(
      {
        description: 'Bytes of the answer to one request, as they go over the wire.',
        otherwise: 'no limit',
        limit: 'As for `rows`; the answer never becomes longer than this.',
      },
      { min: 1024, max: 1024 ** 5 },
    ).optional(),
  },
  'How much clients may take. Each user counts alone; where `users` and a rule both have a limit, the smaller one holds.',
)

/** Options of an entry of `users` and of a rule alike. */
export const grants = {
  access: choice(['all', 'read'], {
    description:
      '`read`: only what is proved to read runs, on replicas, or on the primary where `routing.fallbackToPrimary` lets it and no replica may serve it; all else is refused before it is sent, with SQLSTATE 25006 and the reason, whatever the role may do.',
    otherwise: '`all`',
  }).optional(),
  route: choice(['auto', 'primary', 'replica'], {
    description: 'What `pgsplit.route` is at first.',
    otherwise: '`auto`',
  }).optional(),
  consistency: choice([...consistencyLevels], {
    description: 'What `pgsplit.consistency` is at first.',
    otherwise: '`routing.consistency`',
  }).optional(),
  maxLag: duration({
    description: 'What `pgsplit.max_lag` is at first.',
    otherwise: '`routing.maxLag`',
  }).optional(),
  poolMode: choice(['transaction', 'session'], {
    description: 'What `pgsplit.pool_mode` is at first.',
    otherwise: '`pool.mode`',
  }).optional(),
  poolSize: integer(
    {
      description:
        'Server connections per node, user and database. In a rule only where it names nothing but users and databases: the first such rule counts, as those connections are shared.',
      otherwise: '`pool.size`',
    },
    { min: 1, max: 10_000 },
  ).optional(),
  limits: limits.prefault({}),
}
