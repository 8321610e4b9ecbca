import type { ExpectedDifference } from './outcomes.ts'

const processId =
  "pg_terminate_backend with process ids of log-ins, which are pgsplit's: it knows them in a SELECT of this one call with one id, not in any other statement."
const outlives =
  'A client outlives its server connection: when that is terminated, the client gets an ERROR and goes on, where a direct connection ends with FATAL.'
const pace =
  'The test waits between two messages in front of one Sync to run into statement_timeout; pgsplit sends them together, when the Sync is there.'
const shared =
  'pg_prepared_statements shows what the server connection has, which keeps statements for others when one client closes its own.'

/** Names are `package test`. */
export const expectedOfPgx: readonly ExpectedDifference[] = [
  { test: 'pgxpool TestPoolAcquireChecksIdleConns', reason: processId },
  { test: 'stdlib TestCheckIdleConn', reason: processId },
  { test: 'v5 TestBeginTxFatalErrorKillsConn', reason: outlives },
  { test: 'pgxpool TestConnDestroyedWhenBeginFailsFatally', reason: outlives },
  { test: 'v5 TestPrepareHandlesTimeoutBetweenParseAndDescribe', reason: pace },
  { test: 'v5 TestPrepareWithDigestedNameHandlesTimeoutBetweenParseAndDescribe', reason: pace },
  { test: 'v5 TestSendBatchHandlesTimeoutBetweenParseAndDescribe*', reason: pace },
  { test: 'stdlib TestConnMultiplePrepareAndDeallocate*', reason: shared },
  {
    test: 'pgconn TestConnectProtocolVersion32',
    reason:
      "pgsplit speaks protocol 3.2 itself, whatever its servers speak: the test goes by the server's version.",
  },
]

/** Names are `package test`. */
export const expectedOfPq: readonly ExpectedDifference[] = [
  { test: 'pq TestListenerReconnect', reason: outlives },
  { test: 'pq TestPing', reason: outlives },
  { test: 'pq TestCopyInRespLoopConnectionError', reason: outlives },
]

/** Names are `package.Class.method`, with the set of parameters behind them. */
export const expectedOfJdbc: readonly ExpectedDifference[] = [
  { test: 'jdbc2.CopyTest.lockReleaseOnCancelFailure', reason: processId, isLeftOut: true },
]
