import { ConfigError, PgSplitError } from '../errors.ts'
import { redact } from '../redact.ts'

const systemReasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use; stop what listens there or choose another with --listen',
  EADDRNOTAVAIL: 'this machine has no such address; check --listen',
  EACCES: 'not permitted; ports below 1024 need privileges, choose another with --listen',
  ECONNREFUSED: 'connection refused; is PostgreSQL running there and listening on that address?',
  ECONNRESET: 'the connection was reset; is that a PostgreSQL server?',
  ENOTFOUND: 'the host name is not known; check its spelling and the DNS',
  EAI_AGAIN: 'the DNS does not answer; check the network',
  EHOSTUNREACH: 'the host cannot be reached; check the address and the network',
  ENETUNREACH: 'the network cannot be reached; check the address and the route',
  ETIMEDOUT: 'no answer; check the address and the firewall',
  '28P01': 'wrong user or password; check the connection URL',
  '28000': 'the server refuses this login; check its pg_hba.conf and sslmode',
  '3D000': 'the database does not exist; name another at the end of the connection URL',
  '53300': 'the server has no connection left; raise its max_connections',
  '57P03': 'the server is starting up or shutting down; try again',
}

/** Any failure as one line: cause, fact, way out; without stack and without credentials. */
export function errorLine(error: unknown): string {
  return redact(textOf(error)).replace(/\s*[\r\n]+\s*/g, ' ')
}

function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return textOf(error.errors[0])
  if (error instanceof ConfigError) return error.message
  if (error instanceof PgSplitError) {
    return [error.message, error.detail, error.hint].filter((part) => part !== undefined).join('; ')
  }
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? String(error.code) : ''
  const reason = systemReasons[code]
  if (reason === undefined) return error.message || error.name
  // Node's own texts ("connect ECONNREFUSED 10.0.0.1:5432") are kept for their address.
  const fact = error.message.replace(/^(?:connect|listen|getaddrinfo)\s+[A-Z_]+:?\s*/, '')
  return fact === '' ? reason : `${fact}: ${reason}`
}
