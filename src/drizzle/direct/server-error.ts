import { PgSplitError } from '../../errors.ts'
import type { ServerError } from '../../routing/judge-error.ts'

/** What a driver's error says. null: it is none of the server's, and the connection may be gone. */
export function serverErrorOf(error: unknown): ServerError | null {
  if (!(error instanceof Error)) return null
  const { code, severity, severity_local, routine } = error as {
    readonly code?: unknown
    readonly severity?: unknown
    readonly severity_local?: unknown
    readonly routine?: unknown
  }
  // Node's own codes (ECONNRESET) are longer, and come without a severity.
  if (typeof code !== 'string' || code.length !== 5) return null
  const word = severity ?? severity_local
  if (typeof word !== 'string') return null
  return {
    severity: word,
    sqlstate: code,
    message: error.message,
    routine: typeof routine === 'string' ? routine : '',
  }
}

/** After such an error the server closes the connection. */
export function isFatal({ severity }: ServerError): boolean {
  return severity === 'FATAL' || severity === 'PANIC'
}

/**
 * Did the connection go, as opposed to an error in what was asked? Drivers reject with an error of
 * their own or of the socket then.
 */
export function isLost(error: unknown): boolean {
  if (!(error instanceof Error) || serverErrorOf(error) !== null) return false
  const { code } = error as { readonly code?: unknown }
  if (typeof code === 'string' && lostCodes.test(code)) return true
  return /^(Connection terminated|Client has encountered a connection error|Connection ended|Client was closed|write CONNECTION_)/i.test(
    error.message,
  )
}

/** Of Node's sockets, and of postgres.js. */
const lostCodes =
  /^(E(CONN(RESET|REFUSED|ABORTED)|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|HOSTDOWN|AI_AGAIN|NOTFOUND)|CONNECTION_(CLOSED|ENDED|DESTROYED)|CONNECT_TIMEOUT)$/

/** SQLSTATE of a server's error or of ours; '' = it has none. */
export function sqlstateOf(error: unknown): string {
  return error instanceof PgSplitError ? error.sqlstate : (serverErrorOf(error)?.sqlstate ?? '')
}

export function whyOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
