/** The commands that code runs: what each does to the session beyond what it names. */
import { setParameter } from './built-in-use.ts'
import { isPlaceholder } from './placeholder.ts'
import { judgeSet } from './set-statement.ts'
import type { SourceLanguage, SourceReader } from './source-reader.ts'
import { TokenCursor } from './token-cursor.ts'
import type { TokenList } from './tokens.ts'

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}

/** Commands that do no more than what they name does. */
const NEUTRAL = words(`
  select with values table insert update delete merge truncate notify show explain lock checkpoint
  call fetch move begin start commit end rollback abort savepoint release perform return`)

/** Statements of PL/pgSQL. */
const CONTROL = words(`
  if elsif elseif else case when then loop while for foreach exit continue raise assert get open
  close execute null exception declare`)

const DDL = words(`
  create alter drop grant revoke comment refresh import reassign security reindex cluster`)

/** They run the expressions of indexes and checks. */
const RUNS_EXPRESSIONS = words('create alter refresh reindex cluster analyze analyse vacuum')

/** Reads the command of tokens `[from, to)`; `isSure`: it can't be an expression. */
export function readCommand(
  reader: SourceReader,
  tokens: TokenList,
  from: number,
  to: number,
  language: SourceLanguage,
  isSure: boolean,
): void {
  const word = tokens.keyword(from)
  if (RUNS_EXPRESSIONS.has(word)) {
    reader.verbs.add('insert')
    reader.verbs.add('update')
  }
  if (DDL.has(word)) ddl(reader, tokens, from, to, word)
  switch (word) {
    case 'set':
      set(reader, tokens, from, to)
      return
    case 'reset':
      reset(reader, tokens, from, to)
      return
    case 'listen':
      listen(reader, tokens, from)
      return
    case 'unlisten':
      reader.unproved('runs UNLISTEN', [])
      return
    case 'load':
    case 'discard':
      reader.mustPin(`runs ${word.toUpperCase()}`)
      return
    case 'do':
      reader.readBlock(tokens, from, to)
      return
    case 'copy':
      for (let i = from; i < to; i++) if (tokens.keyword(i) === 'from') reader.verbs.add('insert')
      return
    case 'analyze':
    case 'analyse':
    case 'vacuum':
      reader.usesAny ||= to - from < 3
      return
    default:
  }
  if (language !== 'plpgsql' && sqlCommand(reader, tokens, from, to, word)) return
  if (!isSure || NEUTRAL.has(word) || DDL.has(word)) return
  if (language === 'plpgsql' && CONTROL.has(word)) return
  reader.unproved(`runs ${word.toUpperCase().slice(0, 30)}`, null)
}

/** Commands that PL/pgSQL only runs by EXECUTE. */
function sqlCommand(
  reader: SourceReader,
  tokens: TokenList,
  from: number,
  to: number,
  word: string,
): boolean {
  switch (word) {
    case 'prepare':
    case 'execute':
    case 'deallocate':
      reader.usesNames()
      return true
    case 'close':
      reader.unproved('closes a cursor', [])
      return true
    case 'declare':
      declare(reader, tokens, from, to)
      return true
    default:
      return false
  }
}

function set(reader: SourceReader, tokens: TokenList, from: number, to: number): void {
  const part = judgeSet(new TokenCursor(tokens, from, to), CONTEXT)
  const isShown = part.effects.every(
    (effect) => effect.kind !== 'set' || !(effect.name === '' || isPlaceholder(effect.name)),
  )
  if (part.verdict === 'pin' && part.effects.length === 0) {
    if (tokens.keyword(from + 1) === 'seed') reader.mustPin('sets seed')
    else reader.unproved('runs a SET command that is not understood', null)
    return
  }
  if (!isShown) {
    reader.unproved('sets a parameter that its source does not name', null)
    return
  }
  for (const effect of part.effects) {
    if (effect.kind === 'set') setParameter(reader, effect.name, effect.local)
    else if (effect.kind === 'temp') reader.add(effect)
  }
  // `SET search_path TO %I` may name the temporary schema.
  for (let i = from; i < to; i++) if (isPlaceholder(tokens.word(i))) reader.usesAny = true
}

const CONTEXT = { catalog: null, doubted: null, noReads: null, asciiNamesOnly: false }

function reset(reader: SourceReader, tokens: TokenList, from: number, to: number): void {
  const second = tokens.keyword(from + 1)
  const name = NAMED_RESETS.get(second) ?? tokens.source(from + 1, to).toLowerCase()
  if (second === 'all') {
    reader.unproved('runs RESET ALL', [])
    reader.mustPin('runs RESET')
  } else if (second === 'session') setParameter(reader, 'session_authorization', false)
  else if (/^[a-z_][\w.$]*$/.test(name)) setParameter(reader, name, false)
  else reader.unproved('resets a parameter that its source does not name', null)
}

const NAMED_RESETS: ReadonlyMap<string, string> = new Map([
  ['time', 'timezone'],
  ['transaction', 'transaction_isolation'],
])

function listen(reader: SourceReader, tokens: TokenList, from: number): void {
  const channel = tokens.word(from + 1)
  if (channel === '' || isPlaceholder(channel)) reader.unproved('listens to a channel', [])
  else reader.add({ kind: 'listen', channel, isOdd: true })
}

function declare(reader: SourceReader, tokens: TokenList, from: number, to: number): void {
  const name = tokens.word(from + 1)
  let isHeld = false
  for (let i = from + 2; i < to && tokens.keyword(i) !== 'for'; i++) {
    isHeld ||= tokens.keyword(i) === 'hold' || isPlaceholder(tokens.word(i))
  }
  if (!isHeld) return
  if (name === '' || isPlaceholder(name)) reader.unproved('declares a cursor WITH HOLD', [])
  else reader.add({ kind: 'declare', name, hold: true })
}

function ddl(
  reader: SourceReader,
  tokens: TokenList,
  from: number,
  to: number,
  word: string,
): void {
  reader.runsDdl = true
  let isTemporary = false
  if (word === 'create') {
    for (let i = from + 1; i < Math.min(to, from + 5); i++) {
      isTemporary ||= /^temp(orary)?$/.test(tokens.keyword(i))
    }
    if (isTemporary) reader.add({ kind: 'temp' })
  }
  if ((word === 'create' && !isTemporary) || word === 'alter') reader.createsObjects = true
  const object = tokens.keyword(from + 1)
  if (word === 'alter' && ['role', 'user', 'database', 'system'].includes(object)) {
    for (let i = from + 1; i < to; i++) {
      if (['set', 'reset'].includes(tokens.keyword(i))) reader.add({ kind: 'alter-defaults' })
    }
  }
}
