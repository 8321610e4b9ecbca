import { type ErrorFacts, PgSplitError } from '../errors.ts'
import type { DriverPoolOptions } from './driver-pool.ts'

/**
 * An error of the in-process door. `code` is the SQLSTATE again, under the name that drivers use, so
 * that one check serves errors of both.
 */
export class DoorError extends PgSplitError {
  readonly code: string

  constructor(facts: ErrorFacts, cause?: unknown) {
    super(facts, cause)
    this.name = 'DoorError'
    this.code = facts.sqlstate
  }
}

/** A read session was given what does more than read, or was refused by a READ ONLY transaction. */
export function notARead(reason: string, cause?: unknown): DoorError {
  return new DoorError(
    {
      sqlstate: '25006',
      message: `a read session runs only what is proved to be read-only; this is not: ${reason}`,
      hint: "Call getSession(true) for it, or create the sessions with onWriteInReadSession: 'primary'.",
    },
    cause,
  )
}

/** The server's own refusal of a READ ONLY transaction, in the words of a read session; else the error. */
export function asNotARead(error: unknown): unknown {
  const isRefusal = (error as { readonly code?: unknown } | null)?.code === '25006'
  if (!isRefusal || error instanceof DoorError) return error
  return notARead((error as Error).message, error)
}

/** A transaction of a read session can't leave its replica any more. */
export function onlyOnPrimary(reason: string): DoorError {
  return new DoorError({
    sqlstate: '25006',
    message: `only the primary can answer this, and the transaction reads from a replica: ${reason}`,
    hint: 'Put it first in its transaction, or outside of it; READ COMMITTED transactions move by themselves until they have set something.',
  })
}

/** Statements may be retried by the application: nothing of them was done. */
export function noNode(reason: string, cause: unknown): DoorError {
  const facts = {
    sqlstate: '57P03',
    message: `no server for this statement: ${reason}`,
    hint: 'sessions.snapshot() tells what is wrong with each node.',
  }
  return new DoorError(facts, cause ?? undefined)
}

/** The node's own words, as a direct connection would hear them. */
export function loginRefused(
  node: string,
  sqlstate: string,
  words: string,
  cause: unknown,
): DoorError {
  const facts = {
    sqlstate,
    message: words,
    detail: `So says node ${node}; no other one can take its place.`,
    hint: "User, password and database are those of the nodes' URLs, of login, or of monitor.",
  }
  return new DoorError(facts, cause)
}

/** All connections of a pool were in use for too long. Nothing was sent. */
export function noFree(
  where: string,
  { size, checkoutTimeoutMs }: DriverPoolOptions,
  waiting: number,
  cause?: unknown,
): DoorError {
  return new DoorError(
    {
      sqlstate: '53300',
      message: `no free connection to ${where} within ${checkoutTimeoutMs} ms (${size} in use, ${waiting} waiting)`,
      hint: 'Raise pool.size or pool.checkoutTimeout, or look for what keeps connections for so long.',
    },
    cause,
  )
}

/** All that reads may have of the primary's connections was in use for too long. Nothing was sent. */
export function noRoomForReads(
  node: string,
  reads: number,
  { size, checkoutTimeoutMs }: DriverPoolOptions,
  waiting: number,
): DoorError {
  return new DoorError({
    sqlstate: '53300',
    message: `no free connection for a read to ${node} within ${checkoutTimeoutMs} ms (${reads} reads in use, ${waiting} waiting)`,
    detail: `${size - reads} of ${size} connections are kept for writes and transactions (pool.reserve).`,
    hint: 'Raise pool.size or pool.checkoutTimeout, or look for what keeps connections for so long.',
  })
}

export function closedError(): DoorError {
  return new DoorError({
    sqlstate: '57P01',
    message: 'the sessions are closed',
    hint: 'close() ends them for good; create new ones.',
  })
}

export function notAToken(text: string): DoorError {
  return new DoorError({
    sqlstate: '22023',
    message: `invalid causal token: "${text.slice(0, 64)}"`,
    hint: 'Give it what causalToken() or SHOW pgsplit.causal_token gave, such as 1/0/3000148@7312345678901234567.',
  })
}

export function foreignToken(named: string | null, own: string | null): DoorError {
  return new DoorError({
    sqlstate: '22023',
    message: 'the causal token is from another cluster',
    detail: `It names system identifier ${named}; this cluster has ${own}.`,
    hint: 'A token counts only where it was given out, and in copies of that cluster by replication.',
  })
}
