import { ProtocolError } from '../errors.ts'
import type { SignalCall, StatementClass } from '../sql/statement-class.ts'
import type { Cursor } from '../wire/cursor.ts'
import type { ClientSession } from './session.ts'

/** Sessions by the process id that their clients were given for CancelRequest. */
export interface SessionsByProcess {
  byProcessId(processId: number): ClientSession | null
}

const call =
  /^\s*select\s+(?:pg_catalog\s*\.\s*)?pg_(cancel|terminate)_backend\s*\(\s*(?:(\d{1,10})|\$1)\s*(?:::\s*int(?:eger|4)?\s*)?(?:,\s*\d+\s*)?\)(?:\s+(?:as\s+)?[a-z_]\w*)?[\s;]*$/i

/** Types that a parameter may have where an int4 is wanted: unknown, int2, int4. */
const numberTypes: ReadonlySet<number> = new Set([0, 21, 23])

/**
 * The class of a text that is a `SELECT pg_cancel_backend(…)` or `pg_terminate_backend(…)` whose
 * process id is one that pgsplit gave out, which no server process has. null: it is anything else,
 * or PostgreSQL's rule must decide, which lets only a role's own sessions be signalled by everybody.
 */
export function signalClass(
  session: ClientSession,
  cls: StatementClass,
  text: Buffer,
): StatementClass | null {
  if (!isSignal(cls)) return null
  const found = call.exec(text.toString('latin1'))
  const processId = found?.[2] === undefined ? null : Number(found[2])
  if (found === null || processId === null || !maySignal(session, processId)) return null
  return signalling(cls, { does: verb(found), processId, isBinary: false })
}

/**
 * The same where the process id is in a Bind (or was in the text). `parse` is the statement's Parse
 * behind its name; the cursor stands behind the names of the Bind. `rest`: what the server gets
 * there, NULL in place of a process id that it doesn't have.
 */
export function boundSignal(
  session: ClientSession,
  cls: StatementClass,
  parse: Buffer,
  cursor: Cursor,
): { readonly cls: StatementClass; readonly rest: Buffer } | null {
  const { buffer, at, end } = cursor
  try {
    const textEnd = parse.indexOf(0)
    const [effect] = cls.effects
    if (!isSignal(cls) || effect?.kind !== 'signal') return null
    const known = effect.call ?? null
    const found = known === null ? call.exec(parse.toString('latin1', 0, textEnd)) : null
    if (known === null && (found === null || found[2] !== undefined)) return null
    const isValueBinary = readFormats(cursor)
    const count = cursor.uint16()
    if (count !== (known === null ? 1 : 0)) return null
    const length = count === 0 ? -1 : cursor.int32()
    const value = length < 0 ? null : cursor.bytes(length)
    const resultsAt = cursor.at
    const isBinary = readFormats(cursor)
    if (known !== null) {
      const rest = buffer.subarray(at, end)
      return { cls: signalling(cls, { ...known, isBinary }), rest }
    }
    if (found === null || value === null || !numberTypes.has(parameterType(parse, textEnd))) {
      return null
    }
    const processId = readNumber(value, isValueBinary)
    if (processId === null || !maySignal(session, processId)) return null
    const nothing = Buffer.from([0, 1, 0xff, 0xff, 0xff, 0xff])
    const formats = buffer.subarray(at, resultsAt - value.length - 6)
    return {
      cls: signalling(cls, { does: verb(found), processId, isBinary }),
      rest: Buffer.concat([formats, nothing, buffer.subarray(resultsAt, end)]),
    }
  } catch (error) {
    // The server says what is wrong with it.
    if (!(error instanceof ProtocolError)) throw error
    return null
  } finally {
    cursor.at = at
  }
}

function isSignal({ parts, effects }: StatementClass): boolean {
  return parts.length === 1 && effects.length === 1 && effects[0]?.kind === 'signal'
}

function verb(found: RegExpExecArray): SignalCall['does'] {
  return found[1]?.toLowerCase() === 'cancel' ? 'cancel' : 'terminate'
}

function signalling(cls: StatementClass, call: SignalCall): StatementClass {
  const effects = [{ kind: 'signal', call }] as const
  return { ...cls, parts: cls.parts.map((part) => ({ ...part, effects })), effects }
}

function maySignal({ state, scope, peers, cluster }: ClientSession, processId: number): boolean {
  if (state.get('role') !== undefined || state.get('session_authorization') !== undefined) {
    return false
  }
  const target = peers.byProcessId(processId)
  return target !== null && target.cluster === cluster && target.scope.user === scope.user
}

/** OID that the Parse gives for its first parameter; 0: the server finds it out. */
function parameterType(body: Buffer, textEnd: number): number {
  const at = textEnd + 1
  if (textEnd < 0 || body.length < at + 6 || body.readUInt16BE(at) === 0) return 0
  return body.readUInt32BE(at + 2)
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
