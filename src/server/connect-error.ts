import { PgSplitError } from '../errors.ts'
import { decodeErrorFields } from '../wire/error-fields.ts'

/**
 * Where a log-in to a server failed: `own` (on our side: the name's look-up, descriptors, no route;
 * it says nothing of the server), `network` (not reached, lost), `timeout`, `tls`, `server`
 * (its own ErrorResponse, with its SQLSTATE), `protocol` (it doesn't speak PostgreSQL's),
 * `credential` (ours doesn't fit what it asks for).
 */
export type ConnectFailure =
  | 'own'
  | 'network'
  | 'timeout'
  | 'tls'
  | 'server'
  | 'protocol'
  | 'credential'

/** A log-in to a server that failed. The message names the node, never a secret. */
export class ConnectError extends PgSplitError {
  readonly failure: ConnectFailure

  constructor(
    failure: ConnectFailure,
    facts: { sqlstate: string; message: string; detail?: string; hint?: string },
    cause?: unknown,
  ) {
    super({ ...facts, severity: 'FATAL' }, cause)
    this.name = 'ConnectError'
    this.failure = failure
  }
}

/** From the body of an ErrorResponse; one without SQLSTATE counts as XX000 (CVE-2026-6666). */
export function serverRefusal(body: Buffer): ConnectError {
  const { sqlstate, message, detail } = decodeErrorFields(body, 0, body.length)
  return new ConnectError('server', {
    sqlstate,
    message: message === '' ? 'the server refused the connection without a message' : message,
    ...(detail === '' ? {} : { detail }),
  })
}
