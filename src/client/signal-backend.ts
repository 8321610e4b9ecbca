import { ProtocolError } from '../errors.ts'
import { Cursor } from '../wire/cursor.ts'
import { frontend, txStatus } from '../wire/message-types.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/** Sessions by the process id that their clients were given for CancelRequest. */
export interface SessionsByProcess {
  byProcessId(processId: number): ClientSession | null
}

/** A call that names one of our sessions, and what its caller asked to get. */
export interface SignalledSession {
  readonly target: ClientSession
  readonly does: 'cancel' | 'terminate'
  /** Is the process id a bind parameter? */
  readonly isBound: boolean
  /** Is the result wanted in binary form? */
  readonly isBinary: boolean
}

const call =
  /^\s*select\s+(?:pg_catalog\s*\.\s*)?pg_(cancel|terminate)_backend\s*\(\s*(?:(\d{1,10})|\$1)\s*(?:::\s*int(?:eger|4)?\s*)?(?:,\s*\d+\s*)?\)[\s;]*$/i

/** Types that a parameter may have where an int4 is wanted: unknown, int2, int4. */
const numberTypes: ReadonlySet<number> = new Set([0, 21, 23])

/**
 * Reads a `SELECT pg_cancel_backend(…)` or `pg_terminate_backend(…)` whose process id is one that
 * pgsplit gave out: no server process has it. `body` is the statement's Parse behind its name (of a
 * Query: its text); `segment` holds its Bind, if there is one.
 *
 * null: it is anything else, or PostgreSQL's rule must decide, which lets only a role's own sessions
 * be signalled by everybody; then a server has the answer.
 */
export function signalledSession(
  session: ClientSession,
  body: Buffer,
  segment: Request | null,
): SignalledSession | null {
  const { state, scope } = session
  const textEnd = body.indexOf(0)
  const found = call.exec(body.toString('latin1', 0, textEnd < 0 ? body.length : textEnd))
  if (found === null || session.localStatus === txStatus.failed) return null
  if (state.get('role') !== undefined || state.get('session_authorization') !== undefined) {
    return null
  }
  const isBound = found[2] === undefined
  const bound = segment === null ? null : readBind(segment, isBound ? 1 : 0)
  if (segment === null ? isBound : bound === null) return null
  if (isBound && !numberTypes.has(parameterType(body, textEnd))) return null
  const processId = isBound ? (bound?.processId ?? null) : Number(found[2])
  const target = processId === null ? null : session.peers.byProcessId(processId)
  if (target === null || target.cluster !== session.cluster || target.scope.user !== scope.user) {
    return null
  }
  const does = found[1]?.toLowerCase() === 'cancel' ? 'cancel' : 'terminate'
  // The server aborts the caller's own transaction with it.
  if (does === 'cancel' && target === session && session.localStatus !== txStatus.idle) return null
  return { target, does, isBound, isBinary: bound?.isBinary ?? false }
}

/** OID that the Parse gives for its first parameter; 0: the server finds it out. */
function parameterType(body: Buffer, textEnd: number): number {
  const at = textEnd + 1
  if (textEnd < 0 || body.length < at + 6 || body.readUInt16BE(at) === 0) return 0
  return body.readUInt32BE(at + 2)
}

/** What the segment's one Bind says; null: not understood. */
function readBind(
  { bytes, size }: Request,
  count: number,
): { processId: number | null; isBinary: boolean } | null {
  try {
    for (let at = 0; at + 5 <= size; at += 1 + bytes.readUInt32BE(at + 1)) {
      if (bytes[at] !== frontend.bind) continue
      const cursor = new Cursor(bytes, at + 5, at + 1 + bytes.readUInt32BE(at + 1))
      cursor.skipString()
      cursor.skipString()
      const isValueBinary = readFormats(cursor)
      if (cursor.uint16() !== count) return null
      const length = count === 0 ? -1 : cursor.int32()
      const value = length < 0 ? null : cursor.bytes(length)
      const isBinary = readFormats(cursor)
      return { processId: value === null ? null : readNumber(value, isValueBinary), isBinary }
    }
  } catch (error) {
    // The server says what is wrong with it.
    if (!(error instanceof ProtocolError)) throw error
  }
  return null
}

/** The one format that holds for the one value; true: binary. */
function readFormats(cursor: Cursor): boolean {
  let isBinary = false
  for (let left = cursor.uint16(); left > 0; left--) isBinary = cursor.uint16() === 1
  return isBinary
}

function readNumber(value: Buffer, isBinary: boolean): number | null {
  if (!isBinary) return /^\s*\d{1,10}\s*$/.test(value.toString()) ? Number(value.toString()) : null
  if (value.length === 2) return value.readInt16BE(0)
  return value.length === 4 ? value.readInt32BE(0) : null
}
