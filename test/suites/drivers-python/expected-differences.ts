import type { DriverName } from './run-suite.ts'

export interface ExpectedDifference {
  /** A test, or how the names of several begin. */
  readonly test: string
  readonly reason: string
  /** It shows or not: by timing, or by which server connection is at hand. */
  readonly isOccasional?: true
}

const terminated =
  'It ends its server process by the id that it got at log-in, or by pg_backend_pid(); pgsplit keeps the client and goes on with another connection.'
const ownId =
  'A client gets its own notifications with the id that it got at log-in; pg_backend_pid() gives that of a server process.'
const names = 'Servers know prepared statements by names of pgsplit (pg_prepared_statements).'

export const expectedDifferences: Readonly<Record<DriverName, readonly ExpectedDifference[]>> = {
  psycopg2: [
    {
      test: 'tests.test_connection.TestConnectionInfo.test_backend_pid',
      reason: 'The id that the client got at log-in is not that of a server process.',
    },
    {
      test: 'tests.test_connection.ConnectionTests.test_cleanup_on_badconn_close',
      reason: terminated,
    },
  ],
  asyncpg: [
    {
      test: 'tests.test_execute.TestExecuteMany.test_executemany_server_failure_during_writes',
      isOccasional: true,
      reason:
        'It wants to see the error before it has sent all; pgsplit sends a segment when it has it whole.',
    },
  ],
  pg8000: [
    { test: 'test.native.test_connection.test_notify', reason: ownId },
    { test: 'test.dbapi.test_connection.test_notify', reason: ownId },
    { test: 'test.legacy.test_connection.test_notify', reason: ownId },
    {
      test: 'test.native.test_query.test_close_prepared_statement',
      reason: names,
      isOccasional: true,
    },
    {
      test: 'test.legacy.test_query.test_close_prepared_statement',
      reason: names,
      isOccasional: true,
    },
  ],
}
