/** What changes the catalog, and DO, CALL and other statements that only the primary runs. */
import type { CatalogSets } from './catalog-sets.ts'
import { firstPin, TEMPORARY } from './effect-pin.ts'
import { judgeWrite } from './judge-query.ts'
import { RESERVED, SYNTAX_BEFORE_PARENTHESIS } from './keywords.ts'
import { channelsOfBlock } from './listen-statement.ts'
import { effectPart, type JudgeContext, pinPart } from './part.ts'
import { lastingPin, type Pin } from './pin.ts'
import { executeEffects } from './prepared-statement.ts'
import { isTemporarySchema } from './session-functions.ts'
import { addEffect, usesOf } from './session-uses.ts'
import { SourceReader, type Verb } from './source-reader.ts'
import type { Effect, StatementPart } from './statement-class.ts'
import { TokenCursor } from './token-cursor.ts'
import { T_STRING } from './tokens.ts'
import { touchedNames } from './touched-names.ts'

/** CREATE …: temporary objects pin, everything else may change what the classifier knows. */
export function judgeCreate(cursor: TokenCursor, context: JudgeContext): StatementPart {
  const { tokens, i: from, to } = cursor
  if (isTemporaryCreate(cursor)) {
    const body = judgeWrite(tokens, from, to, context, '', RUNS_EXPRESSIONS)
    const effects: Effect[] = [{ kind: 'temp' }, ...executed(cursor, context)]
    for (const effect of body.effects) addEffect(effects, effect)
    seenByTriggers(effects, context)
    return pinPart(TEMPORARY, effects)
  }
  const what = tokens.keyword(from + 1).toUpperCase()
  const body = judgeWrite(tokens, from, to, context, `CREATE ${what}`.trim(), RUNS_EXPRESSIONS)
  // A function's body isn't run by its creation, but CREATE TABLE AS runs its query.
  const runs = !isDefinition(cursor)
  const temp = namesTemporarySchema(cursor)
  const ddl: Effect = { kind: 'ddl', touches: touchedNames(cursor) }
  const effects: Effect[] = runs ? [ddl, ...body.effects] : [ddl]
  if (what === 'DATABASE') effects.push({ kind: 'vacate', database: templateName(cursor) })
  const [execute, ...args] = runs ? executed(cursor, context) : []
  if (execute?.kind === 'execute') effects.push(execute, ...args)
  const own = execute === undefined ? null : firstPin([execute])
  const pin = own ?? (runs || temp ? body.pin : null)
  if (temp && !effects.some((effect) => effect.kind === 'temp')) effects.push({ kind: 'temp' })
  seenByTriggers(effects, context)
  return pin === null ? effectPart('primary', body.reason, effects) : pinPart(pin, effects)
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

/** Whether it only says what is run later, by others. */
function isDefinition(cursor: TokenCursor): boolean {
  let at = cursor.keyword(1) === 'or' ? 3 : 1
  while (['constraint', 'recursive', 'trusted', 'procedural'].includes(cursor.keyword(at))) at++
  return DEFINITIONS.has(cursor.keyword(at))
}

const DEFINITIONS: ReadonlySet<string> = new Set(
  'aggregate cast event function language operator policy procedure rule trigger view'.split(' '),
)

/** Indexes, checks and defaults are evaluated as if rows were written. */
const RUNS_EXPRESSIONS: readonly Verb[] = ['insert', 'update']

/** Adds what event triggers do that see the command. */
function seenByTriggers(effects: Effect[], { catalog }: JudgeContext): void {
  for (const effect of catalog?.ddlUse?.effects ?? []) addEffect(effects, effect)
}

/** ANALYZE, VACUUM, CLUSTER and REINDEX: of one relation, or of all. */
export function judgeMaintenance(cursor: TokenCursor, context: JudgeContext): StatementPart {
  const { tokens, i, to } = cursor
  const reason = `${tokens.word(i).toUpperCase()} is not a read`
  let isOfAll = true
  for (let at = i; at < to; at++) {
    const name = tokens.word(at)
    const { catalog } = context
    if (catalog?.relations.has(name) || catalog?.unsafeRelations.has(name)) isOfAll = false
  }
  const part = judgeWrite(tokens, i, to, context, reason, RUNS_EXPRESSIONS, isOfAll)
  const effects = [...part.effects]
  const last = tokens.word(to - 1)
  if (isOfAll && to - i > 1 && tokens.isName(to - 1) && !MAINTENANCE_WORDS.has(last)) {
    const why = `uses ${last}, which the catalog does not know`
    addEffect(effects, { kind: 'unproved', why, customs: [] })
  }
  if (['reindex', 'cluster'].includes(tokens.keyword(i))) seenByTriggers(effects, context)
  return { ...part, effects }
}

const MAINTENANCE_WORDS: ReadonlySet<string> = new Set(
  'analyse analyze concurrently freeze full verbose'.split(' '),
)

/** A command that this version doesn't know. */
export function judgeUnknown(
  cursor: TokenCursor,
  context: JudgeContext,
  reason: string,
): StatementPart {
  const part = judgeWrite(cursor.tokens, cursor.i, cursor.to, context, reason)
  const effects = [...part.effects]
  addEffect(effects, { kind: 'unproved', why: 'is a command that is not known', customs: [] })
  // A READ ONLY transaction lets nothing write that its server knows, and most are misspelt.
  return { ...part, effects, asksPrimary: true }
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
export function judgeAlter(cursor: TokenCursor, context: JudgeContext): StatementPart {
  const object = cursor.keyword(1)
  const effects: Effect[] = [{ kind: 'ddl', touches: touchedNames(cursor) }]
  const body = judgeWrite(cursor.tokens, cursor.i, cursor.to, context, '', RUNS_EXPRESSIONS)
  const runs = ['table', 'foreign', 'materialized', 'domain', 'type'].includes(object)
  if (runs) for (const effect of body.effects) addEffect(effects, effect)
  seenByTriggers(effects, context)
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
  return withTemporary(
    cursor,
    `ALTER ${object.toUpperCase()}`.trim(),
    effects,
    runs ? body.pin : null,
  )
}

/** DROP, GRANT, REFRESH …: the catalog changes. */
export function judgeDdl(cursor: TokenCursor, context: JudgeContext): StatementPart {
  const effects: Effect[] = [{ kind: 'ddl', touches: touchedNames(cursor) }]
  if (cursor.keyword() === 'refresh') {
    const body = judgeWrite(cursor.tokens, cursor.i, cursor.to, context, '', RUNS_EXPRESSIONS)
    for (const effect of body.effects) addEffect(effects, effect)
  }
  seenByTriggers(effects, context)
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

function withTemporary(
  cursor: TokenCursor,
  reason: string,
  effects: Effect[],
  pin: Pin | null = null,
): StatementPart {
  if (pin !== null) return pinPart(pin, effects)
  if (!namesTemporarySchema(cursor)) return effectPart('primary', reason, effects)
  addEffect(effects, { kind: 'temp' })
  return pinPart(TEMPORARY, effects)
}

/** The channels of a block that does nothing but LISTEN, or null. */
function listenedTo({ tokens, i: from, to }: TokenCursor): Effect[] | null {
  let body: string | null = null
  for (let i = from; i < to; i++) {
    if (tokens.kind(i) !== T_STRING) continue
    if (body !== null) return null
    body = tokens.source(i, i + 1)
  }
  return body === null ? null : channelsOfBlock(body)
}

/** DO: its body is read as the source of a function is. */
export function judgeDo(cursor: TokenCursor, context: JudgeContext): StatementPart {
  const channels = listenedTo(cursor)
  if (channels !== null) return pinPart(firstPin(channels) ?? 'LISTEN', channels)
  const { catalog } = context
  const reader = new SourceReader()
  reader.readBlock(cursor.tokens, cursor.i, cursor.to)
  const effects: Effect[] = []
  for (const effect of reader.effects) addEffect(effects, effect)
  let own = reader.pin === null ? null : lastingPin(`a DO block that ${reader.pin}`)
  let makes = reader.createsObjects
  if (catalog !== null) {
    for (const { what, effects: more, pin } of usesOf(catalog, reader)) {
      for (const effect of more) addEffect(effects, effect)
      if (pin !== null) own ??= lastingPin(`a DO block that uses ${what}, which ${pin}`)
    }
    for (const name of reader.called) makes ||= catalog.ddlFunctions.has(name)
    const unknown = [...reader.invoked].find((name) => !isKnownWord(name, catalog))
    if (unknown !== undefined) {
      const why = `calls ${unknown}(), which the catalog does not know`
      addEffect(effects, { kind: 'unproved', why, customs: [] })
    }
  }
  if (makes) effects.push({ kind: 'ddl', touches: null })
  if (context.isStale === true) {
    addEffect(effects, { kind: 'unproved', why: 'the catalog is being read', customs: [] })
  }
  const pin = own ?? firstPin(effects)
  return pin === null ? effectPart('primary', 'DO may write', effects) : pinPart(pin, effects)
}

/** Whether the name in front of a parenthesis is known, or no function's. */
function isKnownWord(name: string, catalog: CatalogSets): boolean {
  const isFunction = catalog.functions.has(name) || catalog.unsafeFunctions.has(name)
  const isRelation = catalog.relations.has(name) || catalog.unsafeRelations.has(name)
  if (isFunction || isRelation || catalog.types.has(name)) return true
  return RESERVED.has(name) || SYNTAX_BEFORE_PARENTHESIS.has(name) || BLOCK_WORDS.has(name)
}

/** Words of PL/pgSQL and of writes that may stand in front of a parenthesis. */
const BLOCK_WORDS: ReadonlySet<string> = new Set(
  'assert call conflict elsif elseif execute exists foreach if perform raise return returning set while'.split(
    ' ',
  ),
)
