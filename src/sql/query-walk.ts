/**
 * Walks the tokens of a query (or of the query part of a write) once
 * and collects what forbids a replica, what pins the session, and what must be tracked. It knows
 * just enough grammar to tell calls, relations and labels apart; where in doubt it refuses.
 */
import type { CatalogSets } from './catalog-sets.ts'
import {
  RESERVED,
  SYNTAX_BEFORE_PARENTHESIS,
  TYPE_OR_FUNCTION,
  WORDS_BEFORE_CALL,
} from './keywords.ts'
import type { JudgeContext } from './part.ts'
import { judgeSessionCall } from './session-call.ts'
import { isTemporarySchema } from './session-functions.ts'
import { addEffect } from './session-uses.ts'
import { refuseCurrentSetting } from './set-config.ts'
import type { Verb } from './source-reader.ts'
import type { Effect } from './statement-class.ts'
import {
  T_CAST,
  T_CLOSE,
  T_CLOSE_BRACKET,
  T_COMMA,
  T_DOT,
  T_JUNK,
  T_NUMBER,
  T_OPEN,
  T_OPEN_BRACKET,
  T_OPERATOR,
  T_PARAM,
  T_QUOTED,
  T_STRING,
  T_UNICODE_NAME,
  T_WORD,
  type TokenList,
} from './tokens.ts'
import { touchedByInto } from './touched-names.ts'

/** Where a level (a pair of parentheses or brackets) stands with its FROM clause. */
const OUTSIDE = 0
/** A table, function or sub-select must follow. */
const EXPECT_ITEM = 1
/** Behind an item: a comma at this level brings the next one. */
const IN_FROM = 2

const REG_TYPES: ReadonlySet<string> = new Set([
  'regclass',
  'regcollation',
  'regconfig',
  'regdictionary',
  'regnamespace',
  'regoper',
  'regoperator',
  'regproc',
  'regprocedure',
  'regrole',
  'regtype',
])

/** Clauses that end the FROM clause of their level. */
const ENDS_FROM: ReadonlySet<string> = new Set([
  'where',
  'having',
  'window',
  'union',
  'intersect',
  'except',
  'order',
  'limit',
  'offset',
  'fetch',
])

/** Where a FROM item must stand, each of these shows that the text is no SQL. */
const NO_ITEM: ReadonlySet<string> = new Set([...ENDS_FROM, 'from', 'on', 'using', 'as', 'group'])

/** Statements of which every name in front of a parenthesis is looked up. */
const WRITES: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge', 'call'])

const SYNTAX_OF_WRITES: ReadonlySet<string> = new Set(['conflict', 'set', 'using', 'values'])

/** Functions whose RETURNING names a type. */
const JSON_CALL = /^json_/

/** Words in front of a literal that is none of their type → what stands in front of them. */
const LITERAL_BEHIND: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['by', new Set(['group', 'order', 'partition'])],
  ['first', new Set(['fetch'])],
  ['next', new Set(['fetch'])],
  ['precision', new Set(['double'])],
  ['varying', new Set(['character', 'char', 'nchar', 'bit'])],
  ['zone', new Set(['time'])],
])

/** Words between an expression and a literal. */
const BINARY_WORDS: ReadonlySet<string> = new Set(
  'between escape ilike like overlaps passing path similar uescape value'.split(' '),
)

/** Built-ins that only look at what the node has, and at none of its files. */
const LOOKS_AT_NODE: ReadonlySet<string> = new Set(
  `pg_sleep pg_sleep_for pg_sleep_until pg_database_size pg_indexes_size pg_relation_size
  pg_table_size pg_tablespace_size pg_total_relation_size pg_is_in_recovery pg_current_wal_lsn
  pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp
  pg_is_wal_replay_paused pg_blocking_pids pg_safe_snapshot_blocking_pids pg_jit_available
  version inet_server_addr inet_server_port inet_client_addr inet_client_port
  pg_sequence_last_value pg_postmaster_start_time pg_conf_load_time txid_current_snapshot
  pg_current_snapshot`.split(/\s+/),
)

/** Until the catalog has been read again. */
const CHANGING = ', which may be changing'

export class QueryWalk {
  readonly tokens: TokenList
  readonly from: number
  readonly to: number
  readonly isRead: boolean
  /** The function of `refusal`, if that is that it is declared VOLATILE. */
  volatileCall: string | null = null
  /** First reason against a replica. */
  refusal: string | null = null
  /** … which is that the catalog does not know what it names. */
  isOfUnknown = false
  /** Some reason against a replica may be that it writes, or does more than read. */
  mayWrite = false
  /** All that is against a replica is that it reads what the node itself has. */
  readsNode = true
  /** Why the session must be pinned for something that is no effect. */
  pin: string | null = null
  /** It sets a parameter in a way that neither the text nor a Bind shows. */
  hides = false
  readonly effects: Effect[] = []
  readsData = false
  /** What it names, for what the catalog proves of it; calls are judged where they stand. */
  readonly names = new Set<string>()
  readonly called: ReadonlySet<string> = new Set()
  readonly operators = new Set<string>()
  readonly verbs = new Set<Verb>()
  usesAny = false
  runsDdl = false
  /** What in it the catalog does not know. */
  unknown: string | null = null
  /** It calls something, or names a relation. */
  touches = false
  readonly #catalog: CatalogSets | null
  readonly #doubted: ReadonlySet<string> | null
  readonly #asciiOnly: boolean
  readonly #cteNames = new Set<string>()
  /** The token that names a common table expression: `x` in `WITH x (a) AS (…)`. */
  #cteAt = -1
  /** The AS keyword; what stands behind it is a label or a type. */
  #asAt = -1
  #depth = 0
  #state: number[] = [OUTSIDE]
  /** Whether SELECT was seen at the level, so that FROM there begins a clause. */
  #isQuery: boolean[] = [false]
  #isWithList: boolean[] = [false]
  /** Whether the level may be a list of columns with their types. */
  #definesColumns: boolean[] = [false]
  #openedAt: number[] = [-1]
  /** Opening token of the level that was closed last. */
  #lastOpen = -1
  #hasVerb = false
  /** Whether token i - 1, i - 2, i - 3 was a label and no keyword; a ring by index. */
  readonly #labels = [false, false, false, false]

  constructor(tokens: TokenList, from: number, to: number, context: JudgeContext, isRead: boolean) {
    this.tokens = tokens
    this.from = from
    this.to = to
    this.#catalog = context.catalog
    this.#doubted = context.doubted
    this.#asciiOnly = context.asciiNamesOnly
    this.isRead = isRead
  }

  /** The tokens are what would stand behind FROM. */
  expectRelation(): void {
    this.#state[0] = EXPECT_ITEM
  }

  run(): void {
    const { tokens, to } = this
    if (this.#catalog !== null && this.#catalog.everything !== null) {
      this.#leave(this.#catalog.everything)
    }
    for (let i = this.from; i < to; i++) this.#token(i, tokens.kind(i))
    if (this.#depth !== 0) this.#refuse('unbalanced parentheses')
    const startsWith = tokens.keyword(this.from) === 'with'
    if (startsWith && !this.#hasVerb) this.#refuse('WITH without a query behind it')
  }

  #refuse(reason: string): void {
    this.refusal ??= reason
    this.mayWrite = true
    this.readsNode = false
  }

  /** A built-in that reads what the node itself has. */
  #leaveToNode(reason: string): void {
    this.refusal ??= reason
  }

  /** It may well be a read, but what it reads is the primary's, or isn't known yet. */
  #leave(reason: string): void {
    this.refusal ??= reason
    this.readsNode = false
  }

  /** Nothing is against its being a read but that the catalog does not know what it names. */
  #leaveUnknown(what: string): void {
    this.isOfUnknown ||= this.refusal === null
    this.#leave(unknownToCatalog(what))
  }

  #token(i: number, kind: number): void {
    let label = false
    switch (kind) {
      case T_WORD:
      case T_QUOTED:
        label = this.#name(i, kind)
        break
      case T_UNICODE_NAME:
        this.#refuse('uses a U&"" name')
        if (this.tokens.kind(i + 1) === T_OPEN) this.pin ??= 'calls a function by a U&"" name'
        this.#endItem()
        break
      case T_OPEN:
        this.#open(i, this.#state[this.#depth] === EXPECT_ITEM ? EXPECT_ITEM : OUTSIDE)
        break
      case T_OPEN_BRACKET:
        this.#endItem()
        this.#open(i, OUTSIDE)
        break
      case T_CLOSE:
      case T_CLOSE_BRACKET:
        this.#close(kind)
        break
      case T_COMMA:
        this.#comma(i)
        break
      case T_OPERATOR:
        this.#operator(this.tokens.word(i))
        this.#endItem()
        break
      case T_JUNK:
        this.#refuse('holds a character that is no SQL')
        break
      case T_STRING:
      case T_NUMBER:
      case T_PARAM:
        this.#literal(i)
        this.#endItem()
        break
      default:
        if (kind !== T_DOT) this.#endItem()
    }
    this.#labels[i & 3] = label
  }

  #open(i: number, state: number): void {
    if (this.#depth === 0 && this.tokens.kind(i - 1) === T_CLOSE) this.#hasVerb = true
    this.#depth++
    this.#state[this.#depth] = state
    this.#isQuery[this.#depth] = false
    this.#isWithList[this.#depth] = false
    this.#openedAt[this.#depth] = i
    this.#definesColumns[this.#depth] = this.isRead && this.#definesColumnsAt(i)
  }

  #close(kind: number): void {
    if (this.#depth === 0) {
      this.#refuse('unbalanced parentheses')
      return
    }
    const open = this.#openedAt[this.#depth] as number
    const isBracket = this.tokens.kind(open) === T_OPEN_BRACKET
    if (isBracket !== (kind === T_CLOSE_BRACKET)) this.#refuse('unbalanced parentheses')
    this.#lastOpen = open
    this.#depth--
    this.#endItem()
  }

  #endItem(): void {
    if (this.#state[this.#depth] === EXPECT_ITEM) this.#state[this.#depth] = IN_FROM
  }

  #comma(i: number): void {
    if (this.#state[this.#depth] === IN_FROM) this.#state[this.#depth] = EXPECT_ITEM
    if (this.#isWithList[this.#depth]) this.#cteName(i + 1)
  }

  /** Notes the name of a common table expression if one is defined at `i`. */
  #cteName(i: number): void {
    const { tokens } = this
    if (!tokens.isName(i)) return
    if (tokens.kind(i + 1) !== T_OPEN && tokens.keyword(i + 1) !== 'as') return
    this.#cteNames.add(tokens.word(i))
    this.#cteAt = i
  }

  #operator(name: string): void {
    this.operators.add(name)
    if (this.#doubted?.has(name) === true) this.#changes(`uses the operator ${name}${CHANGING}`)
    const why = this.#catalog?.unsafeOperators.get(name)
    if (why !== undefined) this.#refuse(`uses the operator ${name}, which ${why}`)
  }

  /** Returns whether the word is a label, i.e. no keyword whatever it spells. */
  #name(i: number, kind: number): boolean {
    const { tokens } = this
    const word = tokens.word(i)
    const behindDot = i > this.from && tokens.kind(i - 1) === T_DOT
    const label = kind === T_QUOTED || behindDot || (this.#asAt >= 0 && this.#asAt === i - 1)
    if (isTemporarySchema(word)) this.#temporary()
    if (this.#doubted?.has(word) === true) this.#changes(`names ${word}${CHANGING}`)
    const expected = this.#state[this.#depth] === EXPECT_ITEM
    if (expected && !label && NO_ITEM.has(word)) this.#refuse('FROM without a relation')
    if (!label) this.#keyword(i, word)
    const reserved = !label && RESERVED.has(word)
    const called = tokens.kind(i + 1) === T_OPEN && !reserved
    if (i > this.from && this.#isTypePlace(i)) this.#castTarget(i)
    this.#columnType(i)
    if (!reserved) {
      this.names.add(word)
      // JOIN has only just begun to expect one, and VALUES has ended it.
      if (expected && this.#state[this.#depth] === EXPECT_ITEM) this.#item(i, word, label)
      this.#spelledName(word, kind)
      if (called) this.#call(i, word, label, behindDot)
      else if (behindDot) this.#attribute(word)
    }
    return label
  }

  #temporary(): void {
    if (!this.effects.some((effect) => effect.kind === 'temp')) this.effects.push({ kind: 'temp' })
  }

  /** Behind `::`, in `CAST (x AS …)`, and in `RETURNING …` of a JSON function. */
  #isTypePlace(i: number): boolean {
    const { tokens } = this
    if (tokens.kind(i - 1) === T_CAST) return true
    const before = tokens.keyword(i - 1)
    if (before !== 'as' && before !== 'returning') return false
    const opener = tokens.keyword((this.#openedAt[this.#depth] as number) - 1)
    if (before === 'as') return opener === 'cast' || opener === 'xmlserialize'
    return JSON_CALL.test(opener)
  }

  /** Checks that hold for a name wherever it stands. */
  #spelledName(word: string, kind: number): void {
    const catalog = this.#catalog
    const ascii = isAscii(word)
    if (!ascii && this.#asciiOnly) {
      this.#refuse('uses a name that is not ASCII in a client_encoding other than UTF8')
    }
    if (catalog === null) return
    const why = catalog.unsafeTypes.get(word)
    if (why !== undefined) this.#refuse(`names the type ${word}, which ${why}`)
    if (REG_TYPES.has(word) || catalog.userTypes.has(word)) this.readsData = true
    // Servers with a single-byte encoding fold É as well; look the folded name up too.
    if (!ascii && kind === T_WORD) {
      const folded = word.toLowerCase()
      const unsafe =
        catalog.unsafeFunctions.has(folded) ||
        catalog.unsafeTypes.has(folded) ||
        catalog.unsafeRelations.has(folded)
      this.names.add(folded)
      if (unsafe) this.#refuse(`uses the name ${folded}`)
    }
  }

  /**
   * `t '5'`, `t(1) '5'`: a literal is read in as that type. Numbers and parameters, which can't
   * stand there, are judged alike: equal fingerprints don't tell them from strings.
   */
  #literal(i: number): void {
    if (!this.isRead || i === this.from) return
    const { tokens } = this
    let at = i - 1
    if (tokens.kind(at) === T_CLOSE) {
      at = this.#lastOpen - 1
      if (at < this.from || !tokens.isName(at)) return
      const opener = tokens.keyword(at)
      if (opener === 'on' || opener === 'operator') return
    } else if (!tokens.isName(at)) return
    else if (!this.#labels[at & 3] && mayLeadLiteral(tokens, at, this.from)) return
    this.#knownType(tokens.word(at))
  }

  /** The type of the column that is defined at `i`: `x AS t (a int)`, `COLUMNS (a int PATH …)`. */
  #columnType(i: number): void {
    const { tokens } = this
    if (!this.#definesColumns[this.#depth] || RESERVED.has(tokens.keyword(i))) return
    const previous = tokens.kind(i - 1)
    const begins = previous === T_OPEN || previous === T_COMMA
    if (!begins && tokens.keyword(i - 1) !== 'columns') return
    if (tokens.isName(i + 1) && !RESERVED.has(tokens.keyword(i + 1))) this.#castTarget(i + 1)
  }

  #definesColumnsAt(i: number): boolean {
    const { tokens } = this
    if (tokens.keyword(i + 1) === 'partition' || !tokens.isName(i - 1)) return false
    const word = tokens.keyword(i - 1)
    if (word === 'as' || word === 'columns' || word === 'xmltable') return true
    return tokens.keyword(i - 2) === 'as' || tokens.kind(i - 2) === T_CLOSE
  }

  #knownType(name: string): void {
    if (this.#catalog === null || this.#catalog.types.has(name)) return
    this.#leaveUnknown(`names the type ${name}`)
    this.#doesNotKnow(unknownToCatalog(`names the type ${name}`))
  }

  #castTarget(i: number): void {
    const { tokens } = this
    let last = i
    while (tokens.kind(last + 1) === T_DOT && tokens.isName(last + 2)) last += 2
    this.#knownType(tokens.word(last))
  }

  /**
   * What isn't there is temporary, has been made a moment ago, or fails. Nobody is pinned for good
   * for a parameter that it may set.
   */
  #changes(why: string): void {
    this.#leave(why)
    this.#doesNotKnow(why)
  }

  #doesNotKnow(why: string): void {
    this.unknown ??= why
  }

  #attribute(word: string): void {
    const settings = word === 'current_setting' || word === 'set_config'
    if (settings || this.#catalog?.attributeFunctions.has(word) === true) {
      this.#refuse(`.${word} may call the function ${word}()`)
      for (const effect of this.#catalog?.sessionEffects.get(word) ?? []) {
        addEffect(this.effects, effect)
      }
      if (settings) this.#doesNotKnow(`.${word} may call the function ${word}()`)
    }
  }

  #call(i: number, word: string, label: boolean, behindDot: boolean): void {
    this.touches = true
    if (judgeSessionCall(this, this.#catalog, i, word)) return
    if (!this.isRead) {
      this.#callInWrite(i, word, label, behindDot)
      return
    }
    const catalog = this.#catalog
    if (catalog === null) {
      // Known whatever the catalog holds.
      if (word === 'nextval') this.#refuse('calls nextval(), which may write')
      return
    }
    const why = catalog.unsafeFunctions.get(word)
    if (why !== undefined) {
      if (catalog.nodeFunctions.has(word)) {
        const reason = `calls ${word}(), which ${why}`
        if (LOOKS_AT_NODE.has(word)) this.#leaveToNode(reason)
        else this.#leave(reason)
      } else {
        if (this.refusal === null && catalog.declaredVolatile.has(word)) this.volatileCall = word
        this.#refuse(`calls ${word}(), which ${why}`)
      }
      return
    }
    if (word === 'current_setting') {
      const reason = refuseCurrentSetting(this.tokens, i + 1, catalog.nodeParameters)
      if (reason !== null) this.#leaveToNode(reason)
      return
    }
    if (word === 'treat' && !label) {
      // TREAT(x AS f) calls pg_catalog.f(x).
      this.#refuse('uses TREAT')
      return
    }
    if (catalog.functions.has(word)) {
      if (!catalog.pureFunctions.has(word)) this.readsData = true
      return
    }
    if (!label && SYNTAX_BEFORE_PARENTHESIS.has(word)) return
    if (catalog.types.has(word)) return
    if (this.#isAlias(i, behindDot)) return
    this.#leaveUnknown(`calls ${word}()`)
    this.#doesNotKnow(unknownToCatalog(`calls ${word}()`))
    this.effects.push({ kind: 'dynamic' })
  }

  /** Only a function that isn't known matters there: anything else is looked up by its name. */
  #callInWrite(i: number, word: string, label: boolean, behindDot: boolean): void {
    const catalog = this.#catalog
    if (catalog === null || !WRITES.has(this.tokens.keyword(this.from))) return
    if (catalog.functions.has(word) || catalog.unsafeFunctions.has(word)) return
    if (catalog.types.has(word) || catalog.relations.has(word)) return
    if (catalog.unsafeRelations.has(word)) return
    if (!label && (SYNTAX_BEFORE_PARENTHESIS.has(word) || SYNTAX_OF_WRITES.has(word))) return
    if (this.#isTarget(i) || (i - 1 > this.from && this.#isAlias(i, behindDot))) return
    this.#doesNotKnow(unknownToCatalog(`calls ${word}()`))
  }

  /** `INTO t (`, `INTO s.t (` */
  #isTarget(i: number): boolean {
    let first = i
    while (this.tokens.kind(first - 1) === T_DOT) first -= 2
    return this.tokens.keyword(first - 1) === 'into'
  }

  /** Whether `name (` at `i` can only be an alias or common table expression with columns. */
  #isAlias(i: number, behindDot: boolean): boolean {
    if (behindDot) return false
    if (i === this.#cteAt || (this.#asAt >= 0 && this.#asAt === i - 1)) return true
    if (i <= this.from) return false
    const { tokens } = this
    const previous = tokens.kind(i - 1)
    if (previous === T_QUOTED) return true
    if (previous === T_WORD) {
      const word = tokens.word(i - 1)
      if (this.#labels[(i - 1) & 3]) return true
      return !RESERVED.has(word) && !WORDS_BEFORE_CALL.has(word) && !isSyntaxWord(word)
    }
    if (previous !== T_CLOSE) return false
    // DISTINCT ON (…) f(x) and 1 OPERATOR(…) f(x) are calls.
    const opener = tokens.keyword(this.#lastOpen - 1)
    return opener !== 'on' && opener !== 'operator'
  }

  #keyword(i: number, word: string): void {
    const { tokens } = this
    this.#verbAt(i, word)
    switch (word) {
      case 'as':
        this.#asAt = i
        return
      case 'select':
        this.#verb()
        this.#isQuery[this.#depth] = true
        this.#state[this.#depth] = OUTSIDE
        return
      case 'values':
        this.#verb()
        if (tokens.kind(i + 1) === T_OPEN) this.#state[this.#depth] = OUTSIDE
        return
      case 'table':
        this.#verb()
        this.#isQuery[this.#depth] = true
        this.#state[this.#depth] = EXPECT_ITEM
        return
      case 'with':
        this.#with(i)
        return
      case 'from':
        if (this.#isQuery[this.#depth] && !this.#isDistinctFrom(i)) {
          this.#state[this.#depth] = EXPECT_ITEM
        }
        return
      case 'join':
        this.#state[this.#depth] = EXPECT_ITEM
        return
      case 'group':
        // WITHIN GROUP (ORDER BY …) is part of an expression.
        if (tokens.keyword(i - 1) !== 'within') this.#state[this.#depth] = OUTSIDE
        return
      case 'into':
        this.#into(i)
        return
      case 'for':
        this.#lock(tokens.keyword(i + 1))
        return
      case 'update':
      case 'delete':
        this.#write(i, word)
        return
      default:
        if (ENDS_FROM.has(word)) this.#state[this.#depth] = OUTSIDE
    }
  }

  /** Notes what is done to relations, and which, where they are written to. */
  #verbAt(i: number, word: string): void {
    const { tokens } = this
    const before = tokens.keyword(i - 1)
    switch (word) {
      case 'insert':
      case 'update':
      case 'delete':
      case 'truncate':
        if (['for', 'key', 'on'].includes(before)) return
        this.verbs.add(word)
        // FROM and INTO show the others' targets.
        if (word === 'update' && (i === this.from || tokens.kind(i - 1) === T_OPEN)) {
          this.#target(i + 1)
        }
        if (word === 'truncate') this.#target(tokens.keyword(i + 1) === 'table' ? i + 2 : i + 1)
        return
      case 'into':
        if (before === 'insert' || before === 'merge') this.#target(i + 1)
        return
      case 'from':
        if (before === 'delete') this.#target(i + 1)
        return
      case 'using':
        if (WRITES.has(tokens.keyword(this.from)) && this.#depth === 0) {
          if (tokens.kind(i + 1) !== T_OPEN) this.#target(i + 1)
        }
        return
      default:
    }
  }

  /** A relation that is written to, or read beside it, must be known. */
  #target(i: number): void {
    const { tokens } = this
    let last = tokens.keyword(i) === 'only' && tokens.isName(i + 1) ? i + 1 : i
    if (!tokens.isName(last)) return
    while (tokens.kind(last + 1) === T_DOT && tokens.isName(last + 2)) last += 2
    this.touches = true
    this.#knownRelation(tokens.word(last))
  }

  /** `CREATE TABLE [IF NOT EXISTS] x`: it can't be known before. */
  #isCreated(i: number): boolean {
    if (this.#depth > 0 || this.tokens.keyword(this.from) !== 'create') return false
    const before = this.tokens.keyword(i - 1)
    return before === 'table' || before === 'exists'
  }

  #knownRelation(name: string): void {
    const catalog = this.#catalog
    if (catalog === null || catalog.relations.has(name) || catalog.unsafeRelations.has(name)) return
    if (this.#cteNames.has(name)) return
    this.#doesNotKnow(unknownToCatalog(`uses ${name}`))
  }

  #verb(): void {
    this.#isWithList[this.#depth] = false
    if (this.#depth === 0) this.#hasVerb = true
  }

  /** A WITH list stands only at the very start of a query; elsewhere it is WITH ORDINALITY etc. */
  #with(i: number): void {
    const { tokens } = this
    if (i !== this.from && tokens.kind(i - 1) !== T_OPEN) return
    this.#state[this.#depth] = OUTSIDE
    this.#isWithList[this.#depth] = true
    const recursive = tokens.keyword(i + 1) === 'recursive' && tokens.isName(i + 2)
    this.#cteName(recursive ? i + 2 : i + 1)
  }

  /** `x IS [NOT] DISTINCT FROM y`; IS behind a dot or AS is a column or label. */
  #isDistinctFrom(i: number): boolean {
    if (!this.#isKeyword(i - 1, 'distinct')) return false
    if (this.#isKeyword(i - 2, 'is')) return true
    return this.#isKeyword(i - 2, 'not') && this.#isKeyword(i - 3, 'is')
  }

  #isKeyword(i: number, word: string): boolean {
    return i >= this.from && !this.#labels[i & 3] && this.tokens.keyword(i) === word
  }

  #into(i: number): void {
    if (!this.isRead) return
    const { tokens } = this
    const before = tokens.keyword(i - 1)
    if (before === 'insert' || before === 'merge') {
      this.#refuse(`${before.toUpperCase()} in a query`)
      return
    }
    this.#refuse('SELECT INTO creates a table')
    let next = tokens.keyword(i + 1)
    if (next === 'local' || next === 'global') next = tokens.keyword(i + 2)
    if (next === 'temp' || next === 'temporary') this.#temporary()
    else this.effects.push({ kind: 'ddl', touches: touchedByInto(tokens, i) })
  }

  #lock(next: string): void {
    const strengths = ['update', 'share', 'no', 'key']
    if (strengths.includes(next)) this.#refuse(`locks rows (FOR ${next.toUpperCase()} …)`)
  }

  /** UPDATE and DELETE are no reserved words: told from columns by what stands around them. */
  #write(i: number, word: string): void {
    const { tokens } = this
    if (word === 'update' && this.#updatesSettings(i + 1)) {
      this.effects.push({ kind: 'set', name: '*', value: null, local: false, opaque: true })
      this.hides = true
    }
    if (!this.isRead || i === this.from) return
    const next = tokens.keyword(i + 1)
    if (word === 'delete' ? next !== 'from' : !this.#mayBeTarget(i + 1, next)) return
    const previous = tokens.kind(i - 1)
    if (previous === T_COMMA || previous === T_OPERATOR) return
    if (previous === T_WORD && ['select', 'distinct', 'all', 'for'].includes(tokens.word(i - 1))) {
      return
    }
    this.#refuse(`${word.toUpperCase()} in a query`)
  }

  #mayBeTarget(i: number, next: string): boolean {
    if (next === 'only' || this.tokens.kind(i) === T_UNICODE_NAME) return true
    if (!this.tokens.isName(i)) return false
    return next === '' || (!RESERVED.has(next) && !TYPE_OR_FUNCTION.has(next))
  }

  #updatesSettings(i: number): boolean {
    const { tokens } = this
    let at = tokens.keyword(i) === 'only' ? i + 1 : i
    if (tokens.kind(at) === T_OPEN) at++
    while (tokens.kind(at + 1) === T_DOT) at += 2
    return tokens.word(at) === 'pg_settings'
  }

  /** A name where a FROM item must stand: a relation unless it is called. */
  #item(i: number, word: string, label: boolean): void {
    const { tokens } = this
    const state = this.#state
    if (!label && word === 'rows' && tokens.keyword(i + 1) === 'from') {
      state[this.#depth] = IN_FROM
      // The FROM of ROWS FROM (…) begins no clause; mark it as a label.
      this.#asAt = i
      return
    }
    let last = i
    while (tokens.kind(last + 1) === T_DOT && tokens.isName(last + 2)) last += 2
    state[this.#depth] = IN_FROM
    if (tokens.kind(last + 1) === T_OPEN) return
    this.readsData = true
    this.touches = true
    if (!this.#isCreated(i)) this.#knownRelation(tokens.word(last))
    this.#relation(tokens.word(last), last === i)
  }

  /** The session's prepared statements are shown by the names that the server has for them. */
  seesNames(name: string): void {
    this.#refuse(`reads ${name}, which differs from session to session`)
    if (!this.effects.some((effect) => effect.kind === 'own-names')) {
      this.effects.push({ kind: 'own-names' })
    }
  }

  #relation(name: string, unqualified: boolean): void {
    const catalog = this.#catalog
    if (name === 'pg_prepared_statements') this.seesNames(name)
    if (catalog === null || !this.isRead) return
    const why = catalog.unsafeRelations.get(name)
    if (why !== undefined) this.#leave(`reads ${name}, which ${why}`)
    else if (catalog.relations.has(name)) return
    else if (!unqualified || !this.#cteNames.has(name)) {
      this.#leaveUnknown(`reads ${name}`)
    }
  }
}

/** Whether the keyword at `i` is one behind which a literal stands that it does not convert. */
function mayLeadLiteral(tokens: TokenList, i: number, from: number): boolean {
  const word = tokens.keyword(i)
  if (word === '') return false
  if (RESERVED.has(word)) return true
  const before = i > from ? tokens.keyword(i - 1) : ''
  const clause = LITERAL_BEHIND.get(word)
  if (clause !== undefined) return clause.has(before)
  if (word === 'rows' || word === 'range' || word === 'groups') {
    return ['preceding', 'following'].includes(tokens.keyword(i + 2))
  }
  if (word === 'document' || word === 'content') return tokens.keyword(i - 2) === 'xmlparse'
  if (!BINARY_WORDS.has(word)) return false
  // x NOT LIKE 'y'
  const left = before === 'not' ? i - 2 : i - 1
  if (left < from || RESERVED.has(tokens.keyword(left))) return false
  const kind = tokens.kind(left)
  return kind !== T_OPEN && kind !== T_COMMA && kind !== T_OPERATOR
}

function isSyntaxWord(word: string): boolean {
  return SYNTAX_BEFORE_PARENTHESIS.has(word) || TYPE_OR_FUNCTION.has(word)
}

function isAscii(word: string): boolean {
  for (let i = 0; i < word.length; i++) if (word.charCodeAt(i) > 0x7f) return false
  return true
}

function unknownToCatalog(what: string): string {
  return `${what}, which the catalog does not know`
}
