/** What changes the catalog, and DO, CALL and other statements that only the primary runs. */
import { firstPin } from './effect-pin.ts'
import { judgeWrite } from './judge-query.ts'
import { effectPart, type JudgeContext } from './part.ts'
import { executeEffects } from './prepared-statement.ts'
import { isTemporarySchema } from './session-functions.ts'
import { createsObjects, OWN_NAMES, sessionEffects, sessionUse } from './source-scan.ts'
import type { Effect, StatementPart } from './statement-class.ts'
import { TokenCursor } from './token-cursor.ts'
import { T_STRING } from './tokens.ts'
import { touchedNames } from './touched-names.ts'

/** CREATE …: temporary objects pin, everything else may change what the classifier knows. */
export function judgeCreate(cursor: TokenCursor, context: JudgeContext): StatementPart {
  const { tokens, i: from, to } = cursor
  if (isTemporaryCreate(cursor)) {
    const effects: Effect[] = [{ kind: 'temp' }, ...executed(cursor, context)]
    return effectPart('pin', 'temporary objects', effects, 'temporary objects')
  }
  const what = tokens.keyword(from + 1).toUpperCase()
  const body = judgeWrite(tokens, from, to, context, `CREATE ${what}`.trim())
  // A function's body isn't run by its creation, but CREATE TABLE AS runs its query.
  const runs = !isRoutine(cursor)
  const temp = namesTemporarySchema(cursor)
  const ddl: Effect = { kind: 'ddl', touches: touchedNames(cursor) }
  const effects: Effect[] = runs ? [ddl, ...body.effects] : [ddl]
  if (what === 'DATABASE') effects.push({ kind: 'vacate', database: templateName(cursor) })
  const [execute, ...args] = runs ? executed(cursor, context) : []
  if (execute?.kind === 'execute') effects.push(execute, ...args)
  const own = execute?.kind === 'execute' ? `prepared statement ${execute.name}` : null
  const pin = own ?? (runs || temp ? body.pin : null)
  if (temp && !effects.some((effect) => effect.kind === 'temp')) effects.push({ kind: 'temp' })
  return effectPart(pin === null ? 'primary' : 'pin', pin ?? body.reason, effects, pin)
}

/** `CREATE DATABASE x TEMPLATE y` → y. */
function templateName({ tokens, i: from, to }: TokenCursor): string {
  for (let i = from; i + 1 < to; i++) {
    if (tokens.keyword(i) !== 'template') continue
    const name = tokens.source(i + 1, i + 2) === '=' ? i + 2 : i + 1
    if (name < to && tokens.isName(name)) return tokens.word(name)
  }
  return 'template1'
}

function isTemporaryCreate(cursor: TokenCursor): boolean {
  for (let ahead = 1; ahead <= 5; ahead++) {
    switch (cursor.keyword(ahead)) {
      case 'temp':
      case 'temporary':
        return true
      case 'or':
      case 'replace':
      case 'local':
      case 'global':
        break
      default:
        return false
    }
  }
  return false
}

function isRoutine(cursor: TokenCursor): boolean {
  const at = cursor.keyword(1) === 'or' ? 3 : 1
  return ['function', 'procedure'].includes(cursor.keyword(at))
}

function namesTemporarySchema(cursor: TokenCursor): boolean {
  for (let i = cursor.i; i < cursor.to; i++) {
    if (isTemporarySchema(cursor.tokens.word(i))) return true
  }
  return false
}

/** `CREATE TABLE x AS EXECUTE p (…)` → the effects of that EXECUTE. */
function executed(cursor: TokenCursor, context: JudgeContext): Effect[] {
  const { tokens, to } = cursor
  for (let i = cursor.i; i + 2 < to; i++) {
    if (tokens.keyword(i) === 'as' && tokens.keyword(i + 1) === 'execute') {
      return executeEffects(new TokenCursor(tokens, i + 1, to), context)
    }
  }
  return []
}

/** ALTER …; ALTER ROLE, DATABASE and SYSTEM … SET change what later sessions start with. */
export function judgeAlter(cursor: TokenCursor): StatementPart {
  const object = cursor.keyword(1)
  const effects: Effect[] = [{ kind: 'ddl', touches: touchedNames(cursor) }]
  if (['role', 'user', 'database', 'system'].includes(object)) {
    for (let i = cursor.i; i < cursor.to; i++) {
      const word = cursor.tokens.keyword(i)
      if (word !== 'set' && word !== 'reset') continue
      effects.push({ kind: 'alter-defaults' })
      break
    }
  }
  // RENAME TO, SET TABLESPACE
  if (object === 'database' && /^(rename|set)$/.test(cursor.keyword(3))) vacate(cursor, 2, effects)
  return withTemporary(cursor, `ALTER ${object.toUpperCase()}`.trim(), effects)
}

/** DROP, GRANT, REFRESH …: the catalog changes. */
export function judgeDdl(cursor: TokenCursor): StatementPart {
  const effects: Effect[] = [{ kind: 'ddl', touches: touchedNames(cursor) }]
  if (cursor.keyword() === 'drop' && cursor.keyword(1) === 'database') {
    vacate(cursor, cursor.keyword(2) === 'if' ? 4 : 2, effects)
  }
  return withTemporary(cursor, cursor.keyword().toUpperCase(), effects)
}

/** The database named there must be left by all. */
function vacate({ tokens, i: from, to }: TokenCursor, ahead: number, effects: Effect[]): void {
  const at = from + ahead
  if (at < to && tokens.isName(at)) effects.push({ kind: 'vacate', database: tokens.word(at) })
}

function withTemporary(cursor: TokenCursor, reason: string, effects: Effect[]): StatementPart {
  if (!namesTemporarySchema(cursor)) return effectPart('primary', reason, effects)
  effects.push({ kind: 'temp' })
  return effectPart('pin', 'temporary objects', effects, 'temporary objects')
}

/** DO: its body is text, of which only words can be read. */
export function judgeDo(cursor: TokenCursor): StatementPart {
  const effects: Effect[] = []
  let own: string | null = null
  for (let i = cursor.i; i < cursor.to; i++) {
    if (cursor.tokens.kind(i) !== T_STRING) continue
    const source = cursor.tokens.source(i, i + 1)
    const use = sessionUse(source)
    const asked = sessionEffects(source)
    if (asked !== null) effects.push(...asked)
    else if (use !== null) own ??= `a DO block that ${use}`
    if (use === OWN_NAMES) effects.push({ kind: 'own-names' })
    if (createsObjects(source)) effects.push({ kind: 'ddl', touches: null })
  }
  const pin = own ?? firstPin(effects)
  return effectPart(pin === null ? 'primary' : 'pin', pin ?? 'DO may write', effects, pin)
}
