import { type Effect, isProvedRead, type StatementClass } from '../sql/statement-class.ts'
import { parameterTypeClass, parameterTypeEffect } from './fixed-class.ts'
import { parseSettings } from './parse-settings.ts'
import { PreparedStatement, type PrepareSpots } from './prepared-statement.ts'
import type { ClientSession } from './session.ts'

/** Below it are PostgreSQL's own types (FirstNormalObjectId); reading their values leaves nothing. */
const firstUserOid = 16384

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
  let isBuiltIn = true
  for (let at = textEnd + 3; at + 4 <= end; at += 4) {
    const oid = buffer.readUInt32BE(at)
    if (oid < firstUserOid) continue
    if (classifier.isUnsafeType(oid)) return withParameterType(cls)
    isBuiltIn = false
  }
  // Its input may look at a parameter, and the text doesn't name it.
  if (isBuiltIn || !(cls.ignoresCustoms || cls.ignoresClock)) return cls
  return { ...cls, ignoresCustoms: false, ignoresClock: false }
}

function withParameterType(cls: StatementClass): StatementClass {
  if (isProvedRead(cls)) return parameterTypeClass
  const parts = cls.parts.map((part) => ({
    ...part,
    effects: [...part.effects, parameterTypeEffect],
  }))
  return { ...cls, parts, effects: [...cls.effects, parameterTypeEffect] }
}

/** The statement of this Parse body, shared by all sessions of the scope; counts one user more. */
export function intern(
  session: ClientSession,
  buffer: Buffer,
  bodyStart: number,
  end: number,
  textEnd: number,
): PreparedStatement {
  const key = unusedKey(session, keyOf(session, 'P', buffer, bodyStart, end))
  const found = current(session, key)
  if (found !== null) return found
  const body = Buffer.from(buffer.subarray(bodyStart, end))
  const cls = judge(session, buffer, bodyStart, textEnd, end)
  return register(session, key, body, textEnd - bodyStart, cls, null)
}

/** The same for what pgsplit answers itself, which servers know as `body`. */
export function internOwn(
  session: ClientSession,
  buffer: Buffer,
  bodyStart: number,
  end: number,
  own: StatementClass,
  body: Buffer,
): PreparedStatement {
  const key = unusedKey(session, keyOf(session, 'O', buffer, bodyStart, end))
  const found = current(session, key)
  return found ?? register(session, key, body, body.indexOf(0), own, null)
}

/** The same for SQL PREPARE; `isAlone`: nothing else is in `text`, and all of it is kept. */
export function internPrepare(
  session: ClientSession,
  text: Buffer,
  effect: Effect & { readonly kind: 'prepare' },
  isAlone: boolean,
): PreparedStatement {
  const { spot, bodyFrom } = effect
  const start = isAlone ? 0 : effect.start
  const end = isAlone ? text.length : effect.end
  const key = unusedKey(session, keyOf(session, 'Q', text, start, end))
  const found = current(session, key)
  if (found !== null) return found
  const body = Buffer.from(text.subarray(start, end))
  const spots = { from: spot.from - start, to: spot.to - start, bodyFrom: bodyFrom - start }
  const cls = judge(session, body, spots.bodyFrom, body.length, body.length)
  return register(session, key, body, body.length, cls, spots)
}

/** What a text means depends on how it is lexed and on some settings. */
function keyOf(
  { lexMode, state }: ClientSession,
  kind: 'P' | 'Q' | 'O',
  buffer: Buffer,
  start: number,
  end: number,
): string {
  return `${kind}${lexMode}\0${parseSettings(state)}\0${buffer.toString('latin1', start, end)}`
}

/**
 * The same text under another name of the same session is another statement: errors tell its name,
 * and DEALLOCATE of the one leaves the other.
 */
function unusedKey({ scope, statements }: ClientSession, key: string): string {
  let free = key
  for (let number = 2; ; number++) {
    const known = scope.statements.find(free)
    if (known === undefined || !statements.names(known)) return free
    free = `${key}\0${number}`
  }
}

/**
 * What is known by this key. After a change of the catalog the same text may have another result: a
 * Parse is the client's cure for that, and so it must be a real one.
 */
function current({ scope }: ClientSession, key: string): PreparedStatement | null {
  const statement = scope.statements.find(key)
  if (statement === undefined) return null
  if (statement.bornAt !== scope.classifier.catalogVersion) {
    scope.statements.retire(statement)
    return null
  }
  statement.users++
  return statement
}

function register(
  { scope }: ClientSession,
  key: string,
  body: Buffer,
  textBytes: number,
  cls: StatementClass,
  spots: PrepareSpots | null,
): PreparedStatement {
  const { catalogVersion } = scope.classifier
  const statement = new PreparedStatement(key, body, textBytes, cls, catalogVersion, spots)
  scope.statements.add(statement)
  statement.users++
  return statement
}

/** A new statement of the same text, for one whose result type has changed; nobody uses it yet. */
export function renew({ scope }: ClientSession, old: PreparedStatement): PreparedStatement {
  scope.statements.retire(old)
  const known = scope.statements.find(old.key)
  if (known !== undefined) return known
  const { key, body, textBytes, cls, spots } = old
  const { catalogVersion } = scope.classifier
  const fresh = new PreparedStatement(key, body, textBytes, cls, catalogVersion, spots)
  scope.statements.add(fresh)
  return fresh
}

/** The class of a named statement by the catalog as it is now. */
export function classOf(session: ClientSession, statement: PreparedStatement): StatementClass {
  const { classifier } = session.scope
  // Its body only stands in for it.
  if (statement.key.startsWith('O')) return statement.cls
  if (statement.catalogVersion !== classifier.catalogVersion || statement.cls.learned !== null) {
    const { body, textBytes, spots } = statement
    statement.cls = judge(session, body, spots?.bodyFrom ?? 0, textBytes, body.length)
    statement.catalogVersion = classifier.catalogVersion
  }
  return statement.cls
}

/** Names the client made up that look like ours must not reach one of ours. */
export function foreignName({ statements }: ClientSession, name: string): string {
  return name.startsWith('pgsplit_') && !statements.isOwn ? `?${name}` : name
}
