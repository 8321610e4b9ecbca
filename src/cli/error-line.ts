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
    const { message, detail, hint, sqlstate, cause } = error
    if (cause instanceof Error && 'code' in cause && systemReasons[String(cause.code)]) {
      return textOf(cause)
    }
    const reason = hint === undefined ? systemReasons[sqlstate] : undefined
    const fact = reason === undefined ? message : `${message}: ${reason}`
    return [fact, detail, hint].filter((part) => part !== undefined).join('; ')
  }
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? String(error.code) : ''
  const reason = systemReasons[code]
  if (reason === undefined) return error.message || error.name
  const fact = addressOf(error) ?? error.message
  return fact === '' ? reason : `${fact}: ${reason}`
}

/** Where a system call failed; Node's own texts mix it with the call and its code. */
function addressOf(error: Error): string | undefined {
  const { hostname, address, port } = error as Error & Readonly<Record<string, unknown>>
  const host = hostname ?? address
  if (typeof host !== 'string') return undefined
  const shown = host.includes(':') ? `[${host}]` : host
  return port === undefined ? shown : `${shown}:${String(port)}`
}
