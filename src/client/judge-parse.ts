import type { StatementClass } from '../sql/statement-class.ts'
import { parameterTypeClass } from './fixed-class.ts'
import { PreparedStatement } from './prepared-statement.ts'
import type { ClientSession } from './session.ts'

/**
 * The class of a Parse's text. A parameter of a type whose input may run a writing function (a
 * domain's CHECK …) takes a read to the primary, though the text shows nothing of it.
 */
export function judge(
  session: ClientSession,
  buffer: Buffer,
  textStart: number,
  textEnd: number,
  end: number,
): StatementClass {
  const { classifier } = session.scope
  const cls = classifier.classify(buffer, textStart, textEnd, session.lexMode)
  if (cls.verdict !== 'replica' && cls.verdict !== 'either') return cls
  for (let at = textEnd + 3; at + 4 <= end; at += 4) {
    const oid = buffer.readUInt32BE(at)
    if (oid !== 0 && classifier.isUnsafeType(oid)) return parameterTypeClass
  }
  return cls
}

/** The statement of this body, shared by all sessions of the scope; counts one user more. */
export function intern(
  session: ClientSession,
  buffer: Buffer,
  bodyStart: number,
  end: number,
  textEnd: number,
): PreparedStatement {
  const { statements, classifier } = session.scope
  const key = `${session.lexMode}\0${buffer.toString('latin1', bodyStart, end)}`
  let statement = statements.find(key)
  if (statement === undefined) {
    const body = Buffer.from(buffer.subarray(bodyStart, end))
    const cls = judge(session, buffer, bodyStart, textEnd, end)
    statement = new PreparedStatement(
      key,
      body,
      textEnd - bodyStart,
      cls,
      classifier.catalogVersion,
    )
    statements.add(statement)
  }
  statement.users++
  return statement
}

/** The class of a named statement by the catalog as it is now. */
export function classOf(session: ClientSession, statement: PreparedStatement): StatementClass {
  const { classifier } = session.scope
  if (statement.catalogVersion !== classifier.catalogVersion || statement.cls.learned !== null) {
    const { body, textBytes } = statement
    statement.cls = judge(session, body, 0, textBytes, body.length)
    statement.catalogVersion = classifier.catalogVersion
  }
  return statement.cls
}

/** Names the client made up that look like ours must not reach one of ours. */
export function foreignName(name: string): string {
  return name.startsWith('pgsplit_') ? `?${name}` : name
}
