/**
 * The door of this room: text → class, remembered by fingerprint. One per database; pure, knows no
 * socket. Reads are proved against the catalog's sets; what can't be proved goes to the primary.
 */
import type { CatalogSets } from './catalog-sets.ts'
import { ClassCache, type ClassCacheStats } from './class-cache.ts'
import { classifyTokens, makeClass } from './classify-text.ts'
import { Fingerprint } from './fingerprint.ts'
import { parseHint } from './hints.ts'
import { type LexMode, tokenize } from './lexer.ts'
import { normalizedText } from './normalized-text.ts'
import { type JudgeContext, pinPart, refusedPart } from './part.ts'
import type { StatementClass } from './statement-class.ts'

export interface ClassifierOptions {
  /** Memory for remembered classes, bytes. Default 16 MiB. */
  readonly cacheBytes?: number
  /** A longer text isn't read: it pins its session to the primary. Default 16 MiB. */
  readonly maxTextBytes?: number
  /**
   * A text of more tokens isn't read either. Default 200,000: 8 MB while it is judged, and 10 to 30 ms
   * for which everybody waits.
   */
  readonly maxTokens?: number
}

export interface ClassifierStats extends ClassCacheStats {
  /** Statements that a standby refused, see `learnPrimary`. */
  readonly learned: number
  readonly catalogVersion: number
}

/** Estimated memory of a class without effects: objects, arrays and table slots. */
const ENTRY_BYTES = 700
const MAX_LEARNED = 4096

/** First oid that isn't PostgreSQL's own (FirstNormalObjectId). */
const FIRST_USER_OID = 16_384

/** Sets apart the modes in one cache. */
const SALT: Readonly<Record<LexMode, number>> = {
  standard: 0,
  'foreign-encoding': 0x5bd1e995,
  'unsafe-encoding': 0x1b873593,
  escape: 0x2127599b,
}

/** What finds a class again in the cache. */
interface Key {
  readonly a: number
  readonly b: number
  readonly check: number
}

/** Why a statement is not for a standby. */
interface Lesson {
  readonly reason: string
  readonly key: Key
  /** It has been there at the last `forgetLearned`. */
  isOld: boolean
}

export class Classifier {
  readonly #maxTextBytes: number
  readonly #maxTokens: number
  readonly #cacheBytes: number
  readonly #fingerprint: Fingerprint
  /** Classes judged with the catalog, and those judged while there is none. */
  readonly #cache: ClassCache
  readonly #uncertain: ClassCache
  /** Those judged while some names are in doubt. */
  readonly #doubtful: ClassCache
  readonly #keys = new WeakMap<StatementClass, Key>()
  /** By fingerprint, what a standby refused; the oldest goes first. */
  readonly #learned = new Map<string, Lesson>()
  #catalog: CatalogSets | null = null
  /** The last one: while it is read anew, what it says against a statement still counts. */
  #lastCatalog: CatalogSets | null = null
  #lastDigest = ''
  #doubted: ReadonlySet<string> | null = null
  /** Where classes of this moment are. */
  #current: ClassCache
  #version = 0
  /** How many reads have run on replicas by these classes: whoever watches the catalog looks. */
  replicaReads = 0
  /** Texts of classes that were judged before the first catalog; null: too long to be kept. */
  readonly #blind = new WeakMap<object, { readonly text: Buffer | null; readonly mode: LexMode }>()
  #waiting: (() => void)[] = []

  constructor(options: ClassifierOptions = {}) {
    this.#cacheBytes = options.cacheBytes ?? 16 * 1024 * 1024
    this.#maxTextBytes = options.maxTextBytes ?? 16 * 1024 * 1024
    this.#maxTokens = options.maxTokens ?? 200_000
    this.#fingerprint = new Fingerprint(undefined, this.#maxTokens)
    this.#cache = new ClassCache(this.#cacheBytes)
    this.#uncertain = new ClassCache(this.#cacheBytes / 8)
    this.#doubtful = new ClassCache(this.#cacheBytes / 4)
    this.#current = this.#uncertain
  }

  /**
   * Judges by `catalog` from now on; null while it is unknown: then whatever reads goes to the
   * primary, and so does what uses a name in `doubted`. Classes handed out before are out of date
   * when `catalogVersion` has changed.
   */
  setCatalog(catalog: CatalogSets | null, doubted: ReadonlySet<string> | null = null): void {
    if (catalog === this.#catalog && doubted === this.#doubted) return
    this.#catalog = catalog
    if (doubted !== this.#doubted) this.#doubtful.clear()
    this.#doubted = doubted
    this.#version++
    if (catalog !== null) {
      this.#lastCatalog = catalog
      if (catalog.digest !== this.#lastDigest) {
        // Other sets: nothing that was judged by the old ones may be found again.
        this.#lastDigest = catalog.digest
        this.#cache.clear()
        this.#uncertain.clear()
        this.#doubtful.clear()
        this.#learned.clear()
      }
    }
    this.#choose()
    if (catalog === null || this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const go of waiting) go()
  }

  /** Calls back once, when a catalog has been read. */
  onCatalog(go: () => void): void {
    this.#waiting.push(go)
  }

  /** The catalog, or the last one while it is read anew; null before the first. */
  get lastCatalog(): CatalogSets | null {
    return this.#lastCatalog
  }

  /** Nothing of the catalog is in doubt. */
  get isCertain(): boolean {
    return this.#catalog !== null && this.#doubted === null
  }

  /** Was it judged before any catalog had been read? */
  wasBlind({ timing }: StatementClass): boolean {
    return this.#blind.has(timing)
  }

  /** The class of a text that was judged so, by the catalog of now; null: it wasn't kept. */
  judgeAgain({ timing }: StatementClass): StatementClass | null {
    const blind = this.#blind.get(timing)
    if (blind === undefined || blind.text === null) return null
    return this.classify(blind.text, 0, blind.text.length, blind.mode)
  }

  #choose(): void {
    if (this.#catalog === null) this.#current = this.#uncertain
    else this.#current = this.#doubted === null ? this.#cache : this.#doubtful
  }

  /** The catalog changes, whether its sets will show it or not. */
  noteChange(): void {
    this.#version++
  }

  /** Changes whenever a class, or what a statement gives, may have. */
  get catalogVersion(): number {
    return this.#version
  }

  /** Why every read goes to the primary at the moment, or null. */
  get noReads(): string | null {
    return this.#catalog === null ? NO_CATALOG.why : this.#catalog.everything
  }

  /**
   * The class of `text[start, end)`, which must be cut at its first NUL as the server cuts it.
   * Never throws; linear in the length. Equal fingerprints get the identical object, and a hit
   * allocates nothing.
   */
  classify(text: Uint8Array, start: number, end: number, mode: LexMode): StatementClass {
    if (end - start > this.#maxTextBytes) return tooLong()
    if (mode === 'unsafe-encoding' && !isReadable(text, start, end)) return unreadable()
    const print = this.#fingerprint
    if (!print.compute(text, start, end, mode === 'escape', SALT[mode])) {
      return print.isTooLong ? tooLong() : unterminated()
    }
    return this.#current.get(print.a, print.b, print.check) ?? this.#judge(text, start, end, mode)
  }

  /**
   * The statement goes to the primary until `forgetLearned` has come twice: a standby refused it
   * although it was judged to be a read. Holders of `cls` see `cls.learned`. False: that was known
   * already.
   */
  learnPrimary(cls: StatementClass, reason: string): boolean {
    const wasKnown = cls.learned !== null
    cls.learned = reason
    const key = this.#keys.get(cls)
    if (key === undefined) return !wasKnown
    const name = `${key.a} ${key.b} ${key.check}`
    const isNew = !this.#learned.delete(name)
    this.#learned.set(name, { reason, key, isOld: false })
    if (this.#learned.size > MAX_LEARNED) {
      const oldest = this.#learned.keys().next().value
      if (oldest !== undefined) this.#learned.delete(oldest)
    }
    const verdict = cls.verdict === 'pin' ? 'pin' : 'primary'
    const learned = { ...cls, verdict, reason, ignorance: null, learned: reason } as const
    this.#keys.set(learned, key)
    this.#current.set(key.a, key.b, key.check, learned, ENTRY_BYTES)
    if (this.#current !== this.#cache) this.#cache.delete(key.a, key.b, key.check)
    return isNew
  }

  /**
   * Forgets what was learned before the last time this was called: what made a standby refuse it may
   * be over, and else it is learned again.
   */
  forgetLearned(): void {
    let isAnyGone = false
    for (const [name, lesson] of this.#learned) {
      if (!lesson.isOld) {
        lesson.isOld = true
        continue
      }
      const { a, b, check } = lesson.key
      this.#learned.delete(name)
      this.#cache.delete(a, b, check)
      isAnyGone = true
    }
    if (isAnyGone) this.#version++
  }

  /** Whether a Parse's parameter of this type may write by being read in (a domain's check). */
  isUnsafeType(oid: number): boolean {
    if (this.#catalog === null || this.#catalog.unsafeTypeOids.has(oid)) return true
    return this.#doubted !== null && oid >= FIRST_USER_OID
  }

  stats(): ClassifierStats {
    const stats = this.#cache.stats()
    return { ...stats, learned: this.#learned.size, catalogVersion: this.#version }
  }

  #judge(text: Uint8Array, start: number, end: number, mode: LexMode): StatementClass {
    const { a, b, check } = this.#fingerprint
    const tokens = tokenize(text, start, end, mode === 'escape', this.#maxTokens)
    if (tokens === 'too many tokens') return tooLong()
    if (typeof tokens === 'string') return unterminated()
    const hint = tokens.hintFrom < 0 ? null : parseHint(text, tokens.hintFrom, tokens.hintTo)
    const context = this.#context(mode)
    const judged = {
      ...classifyTokens(tokens, 0, tokens.length, context, hint),
      text: normalizedText(tokens),
    }
    const known = this.#learned.get(`${a} ${b} ${check}`)
    const cls = known === undefined ? judged : relearned(judged, known.reason)
    this.#keys.set(cls, { a, b, check })
    if (this.#lastCatalog === null) {
      const isShort = end - start <= MAX_BLIND_BYTES
      const kept = isShort ? Buffer.from(text.subarray(start, end)) : null
      this.#blind.set(cls.timing, { text: kept, mode })
    }
    // Effects keep pieces of the text, as strings of up to two bytes per character.
    const cost =
      ENTRY_BYTES * Math.max(1, cls.parts.length) +
      effectBytes(cls, end - start) +
      judged.text.length * 2
    this.#current.set(a, b, check, cls, cost)
    return cls
  }

  #context(mode: LexMode): JudgeContext {
    const catalog = this.#catalog
    return {
      catalog: catalog ?? this.#lastCatalog,
      doubted: catalog === null ? null : this.#doubted,
      noReads: NO_READS[mode] ?? (catalog === null ? NO_CATALOG : null),
      isStale: catalog === null,
      asciiNamesOnly: mode === 'foreign-encoding',
    }
  }
}

/** A longer text is not kept to be judged again, bytes. */
const MAX_BLIND_BYTES = 64 * 1024

/** A text may be a proved read as soon as the catalog is there. */
const NO_CATALOG = { why: 'the catalog is not loaded yet', ignorance: 'no catalog' } as const

const NO_READS: Readonly<Record<LexMode, JudgeContext['noReads']>> = {
  standard: null,
  'foreign-encoding': null,
  'unsafe-encoding': { why: 'client_encoding can hide quotes from a proxy', ignorance: null },
  escape: { why: 'standard_conforming_strings is off', ignorance: null },
}

function relearned(cls: StatementClass, reason: string): StatementClass {
  const verdict = cls.verdict === 'pin' ? 'pin' : 'primary'
  return { ...cls, verdict, reason, ignorance: null, learned: reason }
}

function effectBytes(cls: StatementClass, textBytes: number): number {
  return cls.effects.length === 0 && cls.pin === null ? 0 : cls.effects.length * 120 + textBytes * 2
}

/** In SJIS and its like no backslash may be in the text, and no `$` beside multi-byte letters. */
function isReadable(text: Uint8Array, start: number, end: number): boolean {
  let high = false
  let dollar = false
  for (let p = start; p < end; p++) {
    const c = text[p] as number
    if (c === 0x5c) return false
    high ||= c >= 0x80
    dollar ||= c === 0x24
  }
  return !(high && dollar)
}

// New objects each time: a class is mutable (learned, timing), and these stand for many texts.
function tooLong(): StatementClass {
  return makeClass([pinPart('a text too long to be read')], '', null)
}

function unreadable(): StatementClass {
  return makeClass([pinPart('a text that client_encoding makes unreadable')], '', null)
}

function unterminated(): StatementClass {
  return makeClass([refusedPart('an unterminated quote or comment')], '', null)
}
