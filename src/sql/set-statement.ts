/** SET, RESET, SHOW and DISCARD. */
import { effectPart, type JudgeContext, pinPart, plainPart } from './part.ts'
import { pinOfEffects } from './pin.ts'
import { isTemporarySchema, SEED_PIN } from './session-functions.ts'
import type { Effect, StatementPart, TransactionModes } from './statement-class.ts'
import { stringValue, type TokenCursor } from './token-cursor.ts'
import { T_DOT, T_OPERATOR, T_STRING } from './tokens.ts'
import { judgeSetTransaction, parseModes } from './transaction-statement.ts'

/** What SET does that this parser doesn't know must not be lost. */
const NOT_UNDERSTOOD = pinPart('a SET command that is not understood')

export function judgeSet(cursor: TokenCursor, context: JudgeContext): StatementPart {
  cursor.accept('set')
  let local = false
  const scope = cursor.keyword()
  // `SET session = …` and `SET local.x = …` name parameters.
  if ((scope === 'session' || scope === 'local') && !isAssignment(cursor, 1)) {
    cursor.i++
    local = scope === 'local'
  }
  const word = cursor.keyword()
  if (!isAssignment(cursor, 1)) {
    switch (word) {
      case 'transaction':
        cursor.i++
        return judgeSetTransaction(cursor, context)
      case 'characteristics':
        return setCharacteristics(cursor)
      case 'constraints':
        return plainPart('primary', 'sets constraints of the transaction')
      case 'time':
        return setTimeZone(cursor, local)
      case 'names':
        return setNamed(cursor, 'client_encoding', local)
      case 'schema':
        return setNamed(cursor, 'search_path', local)
      case 'role':
        return setNamed(cursor, 'role', local)
      case 'catalog':
        return NOT_UNDERSTOOD
      case 'authorization':
        // SET SESSION AUTHORIZATION, whose SESSION was taken for the scope.
        if (scope !== 'session') return NOT_UNDERSTOOD
        return setNamed(cursor, 'session_authorization', false)
      case 'session':
        if (cursor.keyword(1) !== 'authorization') return NOT_UNDERSTOOD
        cursor.i++
        return setNamed(cursor, 'session_authorization', local)
      case 'xml':
        return setXmlOption(cursor, local)
      default:
    }
  }
  return setParameter(cursor, local)
}

/** Whether a parameter name ends in front of the token `ahead`: `=`, TO, FROM, or goes on by dot. */
function isAssignment(cursor: TokenCursor, ahead: number): boolean {
  const { tokens } = cursor
  const at = cursor.i + ahead
  if (at >= cursor.to) return false
  if (tokens.kind(at) === T_DOT) return true
  if (tokens.kind(at) === T_OPERATOR) return tokens.word(at) === '='
  const word = tokens.keyword(at)
  return word === 'to' || (word === 'from' && tokens.keyword(at + 1) === 'current')
}

function setParameter(cursor: TokenCursor, local: boolean): StatementPart {
  const name = parameterName(cursor)
  if (name === null) return NOT_UNDERSTOOD
  if (cursor.accept('from') !== '') {
    return set([{ kind: 'set', name, value: null, local, opaque: true }])
  }
  const isEquals = cursor.kind() === T_OPERATOR && cursor.tokens.word(cursor.i) === '='
  if (isEquals) cursor.i++
  else if (cursor.accept('to') === '') return NOT_UNDERSTOOD
  return setValue(cursor, name, local)
}

function setValue(cursor: TokenCursor, name: string, local: boolean): StatementPart {
  const isDefault = cursor.keyword() === 'default' && cursor.i + 1 === cursor.to
  const value = isDefault ? null : cursor.rest()
  if (value === null && !isDefault) return NOT_UNDERSTOOD
  const effect: Effect = { kind: 'set', name, value, local, opaque: false }
  if (name === 'seed') return pinPart(SEED_PIN)
  if (name === 'search_path' && value !== null && namesTemporarySchema(cursor)) {
    // It ends when search_path names another one.
    const pin = pinOfEffects('search_path names the temporary schema')
    return effectPart('control', 'sets search_path', [effect, { kind: 'temp' }], pin)
  }
  return set([effect])
}

function namesTemporarySchema(cursor: TokenCursor): boolean {
  const { tokens } = cursor
  for (let i = cursor.i; i < cursor.to; i++) {
    if (isTemporarySchema(tokens.word(i))) return true
    if (tokens.kind(i) === T_STRING && /pg_(toast_)?temp/i.test(tokens.source(i, i + 1)))
      return true
  }
  return false
}

function set(effects: readonly Effect[]): StatementPart {
  return effectPart('control', 'sets a parameter', effects)
}

/** `SET ROLE x`, `SET NAMES 'x'`, `SET SCHEMA 'x'`, `SET SESSION AUTHORIZATION x`. */
function setNamed(cursor: TokenCursor, name: string, local: boolean): StatementPart {
  cursor.i++
  if (cursor.atEnd()) {
    // SET NAMES without a value is SET NAMES DEFAULT.
    return name === 'client_encoding'
      ? set([{ kind: 'set', name, value: null, local, opaque: false }])
      : NOT_UNDERSTOOD
  }
  return setValue(cursor, name, local)
}

function setTimeZone(cursor: TokenCursor, local: boolean): StatementPart {
  cursor.i++
  if (cursor.accept('zone') === '') return NOT_UNDERSTOOD
  const name = 'timezone'
  const word = cursor.keyword()
  // SET timezone takes no INTERVAL; LOCAL means DEFAULT.
  if (word === 'interval') return set([{ kind: 'set', name, value: null, local, opaque: true }])
  if (word === 'local' && cursor.i + 1 === cursor.to) {
    return set([{ kind: 'set', name, value: null, local, opaque: false }])
  }
  return setValue(cursor, name, local)
}

function setXmlOption(cursor: TokenCursor, local: boolean): StatementPart {
  cursor.i++
  if (cursor.accept('option') === '') return NOT_UNDERSTOOD
  const value = cursor.accept('document', 'content')
  if (value === '' || !cursor.atEnd()) return NOT_UNDERSTOOD
  return set([{ kind: 'set', name: 'xmloption', value, local, opaque: false }])
}

function setCharacteristics(cursor: TokenCursor): StatementPart {
  cursor.i++
  if (cursor.accept('as') === '' || cursor.accept('transaction') === '') return NOT_UNDERSTOOD
  const modes = parseModes(cursor)
  return modes === null ? NOT_UNDERSTOOD : set(defaultModes(modes))
}

function defaultModes(modes: TransactionModes): Effect[] {
  const effects: Effect[] = []
  const add = (name: string, value: string) => {
    const full = `default_transaction_${name}`
    effects.push({ kind: 'set', name: full, value, local: false, opaque: false })
  }
  if (modes.isolation !== null) add('isolation', `'${modes.isolation}'`)
  if (modes.readOnly !== null) add('read_only', modes.readOnly ? 'on' : 'off')
  if (modes.deferrable !== null) add('deferrable', modes.deferrable ? 'on' : 'off')
  return effects
}

export function judgeReset(cursor: TokenCursor): StatementPart {
  cursor.accept('reset')
  const name = resetName(cursor)
  if (name === null || !cursor.atEnd()) return NOT_UNDERSTOOD
  if (name === 'all') return effectPart('control', 'resets parameters', [{ kind: 'reset-all' }])
  return effectPart('control', 'resets a parameter', [{ kind: 'reset', name }])
}

export function judgeShow(cursor: TokenCursor): StatementPart {
  cursor.accept('show')
  const name = resetName(cursor)
  if (name === null || !cursor.atEnd()) {
    return plainPart('primary', 'a SHOW command that is not understood')
  }
  const verdict = name.startsWith('pgsplit.') ? 'control' : 'primary'
  return effectPart(verdict, `shows ${name}`, [{ kind: 'show', name }])
}

/** The name in RESET and SHOW, with the spellings that SQL has of its own. */
function resetName(cursor: TokenCursor): string | null {
  const next = cursor.keyword(1)
  switch (cursor.keyword()) {
    case 'time':
      if (next !== 'zone') break
      cursor.i += 2
      return 'timezone'
    case 'session':
      if (next !== 'authorization') break
      cursor.i += 2
      return 'session_authorization'
    case 'transaction':
      if (next !== 'isolation' || cursor.keyword(2) !== 'level') break
      cursor.i += 3
      return 'transaction_isolation'
    default:
  }
  return parameterName(cursor)
}

/** `name`, `"name"`, `prefix.name`: parameter names ignore case however they are written. */
function parameterName(cursor: TokenCursor): string | null {
  let name = cursor.name()
  if (name === null) return null
  while (cursor.acceptKind(T_DOT)) {
    const part = cursor.name()
    if (part === null) return null
    name += `.${part}`
  }
  return name.toLowerCase()
}

export function judgeDiscard(cursor: TokenCursor): StatementPart {
  cursor.accept('discard')
  const word = cursor.accept('all', 'plans', 'sequences', 'temp', 'temporary')
  if (word === '' || !cursor.atEnd()) return plainPart('primary', 'DISCARD is not understood')
  const what = word === 'temporary' ? 'temp' : (word as 'all' | 'plans' | 'sequences' | 'temp')
  return effectPart('control', `discards ${what}`, [{ kind: 'discard', what }])
}

/** LOAD. */
export function judgeLoad(cursor: TokenCursor): StatementPart {
  cursor.accept('load')
  const file = stringValue(cursor.tokens, cursor.i)
  return pinPart(file === null ? 'loads a library' : `loads ${file}`, [{ kind: 'load' }])
}
