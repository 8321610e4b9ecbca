/**
 * Why a probe got no answer. `hard` needs no second opinion: the node itself said no. `own`: it was
 * not even asked, as something on our side failed.
 */
export interface ProbeFailure {
  readonly kind: 'own' | 'refused' | 'shutdown' | 'timeout' | 'reset' | 'login' | 'answer'
  readonly hard: boolean
  /** For logs and `healthReason`: one line, no secrets. */
  readonly detail: string
  readonly sqlstate: string | null
}

/** Thrown by the prober itself when the time is over. */
export class ProbeTimeout extends Error {
  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms`)
    this.name = 'ProbeTimeout'
  }
}

const REFUSED = new Set(['ECONNREFUSED', 'ENOENT'])
const SHUTDOWN = new Set(['57P01', '57P02', '57P03'])

/** Sorts whatever a dialer or a query threw. */
export function probeFailure(error: unknown): ProbeFailure {
  const code = codeOf(error)
  const detail = describe(error)
  if (isOwn(error)) return { kind: 'own', hard: false, detail, sqlstate: null }
  if (error instanceof ProbeTimeout || code === 'ETIMEDOUT') {
    return { kind: 'timeout', hard: false, detail, sqlstate: null }
  }
  // Class 08: the connection itself, which no server has spoken of.
  if (code === null || !/^[0-9A-Z]{5}$/.test(code) || code.startsWith('08')) {
    const kind = code !== null && REFUSED.has(code) ? 'refused' : 'reset'
    return { kind, hard: kind === 'refused', detail, sqlstate: null }
  }
  if (SHUTDOWN.has(code)) return { kind: 'shutdown', hard: true, detail, sqlstate: code }
  // Class 28: who we are; 3D000: the database; 42501 at login: CONNECT privilege.
  const login = code.startsWith('28') || code === '3D000' || code === '42501'
  return { kind: login ? 'login' : 'answer', hard: false, detail, sqlstate: code }
}

/** The system's code where there is one, else the server's SQLSTATE. */
function codeOf(error: unknown): string | null {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  if (typeof error !== 'object' || error === null) return null
  if ('code' in error && typeof error.code === 'string') return error.code
  if (!('sqlstate' in error) || typeof error.sqlstate !== 'string') return null
  return ('cause' in error ? codeOf(error.cause) : null) ?? error.sqlstate
}

/** An AggregateError of node:net (all addresses failed) has no message of its own. */
function describe(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return describe(error.errors[0])
  const text = error instanceof Error ? error.message : typeof error === 'string' ? error : ''
  return (text.split('\n')[0] ?? '').slice(0, 200) || 'unknown error'
}

/** Who dials says so: `failure` of a ConnectError. */
function isOwn(error: unknown): boolean {
  return (
    typeof error === 'object' && error !== null && 'failure' in error && error.failure === 'own'
  )
}
