/**
 * What the classifier says of one SQL text (a simple Query's string, or the text of a Parse).
 * Immutable and shared: equal fingerprints get the same object, so identity is a cheap key.
 */
import type { Consistency } from '../consistency.ts'
import type { Pin } from './pin.ts'
import type { Touched } from './touched-names.ts'

/** Strongest wins when a text has several statements: pin > primary > control > replica > either. */
export type Verdict = 'either' | 'replica' | 'control' | 'primary' | 'pin'

/** `null` = not said in the statement. */
export interface TransactionModes {
  readonly isolation:
    | 'serializable'
    | 'repeatable read'
    | 'read committed'
    | 'read uncommitted'
    | null
  readonly readOnly: boolean | null
  readonly deferrable: boolean | null
}

/** Where the name of a prepared statement stands, bytes from the start of the text. */
export interface NameSpot {
  readonly from: number
  readonly to: number
  /** It may be cut by the server, with a notice, or is in bytes that can't be told here. */
  readonly isOdd: boolean
}

/**
 * What a statement does to the session, as far as its text says. Names are folded as PostgreSQL
 * folds them (unquoted: lower case). Parameter names are lower case.
 */
export type Effect =
  | { readonly kind: 'begin'; readonly modes: TransactionModes }
  | { readonly kind: 'commit'; readonly chain: boolean }
  | { readonly kind: 'rollback'; readonly chain: boolean }
  | { readonly kind: 'savepoint'; readonly name: string }
  | { readonly kind: 'rollback-to'; readonly name: string }
  | { readonly kind: 'release'; readonly name: string }
  | { readonly kind: 'prepare-transaction' }
  /** SET [SESSION|LOCAL]; `value` is the SQL text behind TO/=, ready to be replayed as
   * `SET name TO <value>`; null = DEFAULT. Also SET TIME ZONE, NAMES, SCHEMA, ROLE ('role'),
   * SESSION AUTHORIZATION ('session_authorization'), SESSION CHARACTERISTICS
   * ('default_transaction_…', several effects), XML OPTION, and constant
   * set_config(name, value, local) (value as a quoted literal list item). */
  | {
      readonly kind: 'set'
      readonly name: string
      readonly value: string | null
      readonly local: boolean
      /** true for `SET x FROM CURRENT` and other values that the text does not show; the name is
       * '' when the text does not show it either, '*' for any that pg_settings has. */
      readonly opaque: boolean
      /** From set_config() only: the exact string, for `SELECT set_config(name, config, false)`.
       * `SET search_path TO ''` shows as `""`, set_config's '' as nothing. */
      readonly config?: string
      /** From set_config() with bind parameters, counted from 1: which one is the name and which
       * the value. What a Bind gives for them makes the effect whole. */
      readonly nameParameter?: number
      readonly valueParameter?: number
    }
  | { readonly kind: 'reset'; readonly name: string }
  | { readonly kind: 'reset-all' }
  | {
      readonly kind: 'set-transaction'
      readonly modes: TransactionModes
      readonly snapshot: boolean
    }
  | { readonly kind: 'show'; readonly name: string }
  | { readonly kind: 'discard'; readonly what: 'all' | 'plans' | 'sequences' | 'temp' }
  /**
   * SQL-level PREPARE; `body` is the class of the prepared statement, whose text begins at
   * `bodyFrom`; `start` and `end` are those of the whole command (bytes from the text's start).
   */
  | {
      readonly kind: 'prepare'
      readonly name: string
      readonly spot: NameSpot
      readonly body: StatementClass
      readonly start: number
      readonly bodyFrom: number
      readonly end: number
    }
  /** `args`: the arguments, when they are more than a proved read; null when they are not. */
  | {
      readonly kind: 'execute'
      readonly name: string
      readonly spot: NameSpot
      readonly hasArgs: boolean
      readonly args: StatementPart | null
    }
  | { readonly kind: 'deallocate'; readonly name: string | null; readonly spot?: NameSpot }
  /** Sees prepared statements by the names that the server has for them. */
  | { readonly kind: 'own-names' }
  /** Runs SQL that it puts together itself, which may name prepared statements. */
  | { readonly kind: 'dynamic' }
  /** `isOdd`: the channel, or whether it is listened to at all, can't be told from the text. */
  | { readonly kind: 'listen'; readonly channel: string; readonly isOdd?: true }
  | { readonly kind: 'unlisten'; readonly channel: string | null }
  | { readonly kind: 'notify' }
  /** Asks for the channels of the session. */
  | { readonly kind: 'own-channels' }
  | { readonly kind: 'declare'; readonly name: string; readonly hold: boolean }
  | { readonly kind: 'fetch'; readonly name: string }
  | { readonly kind: 'close-cursor'; readonly name: string | null }
  /** Creates or may create something in the temporary schema. */
  | { readonly kind: 'temp' }
  /** Takes (`advisory-lock`) or gives back (`advisory-unlock`, `all`) session advisory locks. */
  | { readonly kind: 'advisory-lock' }
  | { readonly kind: 'advisory-unlock'; readonly all: boolean }
  /** Opens a connection by dblink, or closes one; without arguments the one that has no name. */
  | { readonly kind: 'dblink'; readonly ends: boolean; readonly hasArguments: boolean }
  /** currval() or lastval(); `isOwn`: behind a nextval() of the same function. */
  | { readonly kind: 'sequence-read'; readonly isOwn: boolean }
  | { readonly kind: 'load' }
  /**
   * Runs something whose effects on the session aren't proved (`why`, one clause): the server is
   * asked for all of them before the connection serves anybody else, or this session elsewhere.
   * `customs`: the custom parameters that it may set, lower case; null: also ones that nobody knows.
   */
  | { readonly kind: 'unproved'; readonly why: string; readonly customs: readonly string[] | null }
  /**
   * Calls pg_cancel_backend() or pg_terminate_backend(); `call`: does that alone, for the client
   * that has this process id from pgsplit.
   */
  | { readonly kind: 'signal'; readonly call?: SignalCall }
  /** The catalog may change: CREATE/ALTER/DROP/GRANT/COMMENT/REFRESH/IMPORT …, SELECT INTO too. */
  | { readonly kind: 'ddl'; readonly touches: Touched }
  /** It is refused while anybody is connected to that database. */
  | { readonly kind: 'vacate'; readonly database: string }
  /** ALTER ROLE/DATABASE/SYSTEM … SET: later sessions start differently. */
  | { readonly kind: 'alter-defaults' }
  /** `EXPLAIN (ROUTE) …`: `inner` is the class of the explained text, which must not run. */
  | { readonly kind: 'explain-route'; readonly inner: StatementClass }
  | { readonly kind: 'copy'; readonly direction: 'in' | 'out' | 'server-file' }

/** `isBinary`: the result is wanted in binary form. */
export interface SignalCall {
  readonly does: 'cancel' | 'terminate'
  readonly processId: number
  readonly isBinary: boolean
}

/** From a leading comment `/* pgsplit: primary, maxLag=500ms *​/`. */
export interface Hint {
  readonly route: 'primary' | 'replica' | null
  readonly maxLagMs: number | null
  readonly consistency: Consistency | null
  /** How many replicas are to show what it commits; Infinity = all; null = not said. */
  readonly commitVisible: number | null
  /** What stands in it and isn't understood, as it is written; '' = nothing. */
  readonly unread: string
}

/** What kept a statement from being proved a read, when there is nothing against it yet. */
export type Ignorance = 'no catalog' | 'unknown name'

/** One statement of the text. */
export interface StatementPart {
  readonly verdict: Verdict
  readonly reason: string
  /** Why the session must keep its server connection after this statement; null = it need not.
   * May be set with another verdict than `pin`: `SET search_path = pg_temp` is `control`. */
  readonly pin: Pin | null
  readonly effects: readonly Effect[]
  /**
   * Beside the verdict `primary`: nothing shows that it does more than read, but what it reads is the
   * primary's own or isn't known. A READ ONLY transaction there may run it.
   */
  readonly asksPrimary?: true
  /**
   * Beside the verdict `primary`: it is proved to read, and what it reads is the node's own (its
   * files, its positions, its activity).
   */
  readonly readsNode?: true
  /** Beside a pin: it declares a cursor WITH HOLD over a proved read. */
  readonly holdsRead?: true
  /** Nothing is against it but this. */
  readonly ignorance?: Ignorance
  /** A function that it calls, which is declared VOLATILE: the first thing that is against it. */
  readonly volatileCall?: string
  /** A read that is proved to give the same whatever custom parameters (`app.tenant`) are set to. */
  readonly ignoresCustoms?: true
  /** A read that is proved not to ask when its transaction began, but for what its literals say. */
  readonly ignoresClock?: true
}

/** Is it proved to read only, whatever it reads? */
export function isProvedRead({ verdict }: { readonly verdict: Verdict }): boolean {
  return verdict === 'replica' || verdict === 'either'
}

export interface StatementClass {
  readonly verdict: Verdict
  /** One short clause for logs, EXPLAIN and SHOW: `calls nextval(), which may write`. */
  readonly reason: string
  readonly pin: Pin | null
  /** Nothing is against its being a read but this; it may be one as soon as more is known. */
  readonly ignorance: Ignorance | null
  /** Empty for an empty or comment-only text. */
  readonly parts: readonly StatementPart[]
  /** All parts' effects, in order; empty for plain reads and writes (the common case). */
  readonly effects: readonly Effect[]
  /** All parts are reads that are proved to look at no custom parameter. */
  readonly ignoresCustoms: boolean
  /** None of its parts asks when its transaction began, but for what literals and parameters say. */
  readonly ignoresClock: boolean
  readonly hint: Hint | null
  /** Its text without literals, cut when it is long; absent: it was not read, or stands for many. */
  readonly text?: string
  /** A function that it calls, which is declared VOLATILE: the first thing that is against it. */
  readonly volatileCall?: string
  /** Leading keyword in lower case of the first part, '' if none: for logs and stats. */
  readonly keyword: string
  /** Set to the reason by `learnPrimary` after a standby refused the statement. Mutable on purpose. */
  learned: string | null
  /** Execution times seen, kept by the pool: decides who may share a server connection. */
  readonly timing: ClassTiming
}

/** Mutable counters of one class, written by the session that ran it. Times in ms. */
interface ClassTiming {
  runs: number
  /** Peak, halved every 64 runs, of the time from send to the last byte of the answer. */
  peakMs: number
  /** Peak of the answer's size in bytes, decayed like `peakMs`. */
  peakBytes: number
}
