import { ProtocolError } from '../errors.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import type { Cursor } from '../wire/cursor.ts'
import { refusalOfOwn } from './own-answers.ts'
import {
  failsToSet,
  type OwnCommand,
  ownCommandOf,
  standIn,
  standsAsExplain,
} from './own-command.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'
import { boundSignal, signalClass } from './signal-backend.ts'

/** The class of the text `buffer[from, to)` if pgsplit answers it itself; else null. */
export function ownClass(
  session: ClientSession,
  cls: StatementClass,
  buffer: Buffer,
  from: number,
  to: number,
): StatementClass | null {
  if (ownCommandOf(cls) !== null) return cls
  if (cls.effects[0]?.kind !== 'signal') return null
  return signalClass(session, cls, buffer.subarray(from, to))
}

/** A Parse behind its name, with the stand-in for the text. `end`: of the message. */
export function standInBody(
  session: ClientSession,
  own: StatementClass,
  buffer: Buffer,
  bodyStart: number,
  textEnd: number,
  end: number,
): Buffer {
  const command = ownCommandOf(own) as OwnCommand
  // PostgreSQL looks at the value of a SET when it runs.
  const isRefused = command.kind === 'set' && refusalOfOwn(session, command, []) !== null
  const text = isRefused
    ? failsToSet
    : standIn(command, buffer, bodyStart, textEnd, session.lexMode)
  return Buffer.concat([text, buffer.subarray(textEnd, end)])
}

/**
 * A Bind of what pgsplit answers: its class, and what the server gets behind the names. null: as it
 * is. The cursor stands behind the names.
 */
export function boundOwn(
  session: ClientSession,
  segment: Request,
  cls: StatementClass,
  parse: Buffer,
  cursor: Cursor,
): { readonly cls: StatementClass; readonly rest: Buffer } | null {
  const signal = boundSignal(session, cls, parse, cursor)
  if (signal !== null) return signal
  if (ownCommandOf(cls) === null) return null
  const { buffer, at: from } = cursor
  try {
    cursor.skip(cursor.uint16() * 2)
    for (let left = cursor.uint16(); left > 0; left--) cursor.skip(Math.max(0, cursor.int32()))
    const formatsAt = cursor.at
    const formats = cursor.uint16()
    if (formats === 0) return null
    // A portal's formats show in its description.
    segment.isPlain = false
    if (formats !== 3 || !standsAsExplain(parse)) return null
    const one = Buffer.concat([Buffer.from([0, 1]), cursor.bytes(2)])
    return { cls, rest: Buffer.concat([buffer.subarray(from, formatsAt), one]) }
  } catch (error) {
    // The server says what is wrong with it.
    if (!(error instanceof ProtocolError)) throw error
    return null
  }
}
