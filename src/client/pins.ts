import { effectPin, settingPin } from '../sql/effect-pin.ts'
import type { Pin } from '../sql/pin.ts'
import type { Effect } from '../sql/statement-class.ts'

/** What the server of a pinned session can be asked about. */
export type Cause = 'channels' | 'cursors' | 'prepared' | 'temp' | 'locks' | 'slots' | 'dblink'

/** All of them: what a statement may have left of which nothing is proved. */
const allCauses: readonly Cause[] = [
  'channels',
  'cursors',
  'prepared',
  'temp',
  'locks',
  'slots',
  'dblink',
]

/** What pins, as one word for those who count. */
export type PinWord = Cause | 'settings' | 'sequences' | 'unproved' | 'other'

/** What is to be asked. */
export interface PinQuestion {
  readonly causes: readonly Cause[]
  /** Parameters whose values are wanted. */
  readonly settings: readonly string[]
  /** … and those of all that pg_settings shows as set in the session. */
  readonly allSettings: boolean
  /** Anything may have been left: `causes` are all of them, and what is found pins by itself. */
  readonly isOpen: boolean
}

/** Those of which the server tells the names. */
export type NamedCause = 'channels' | 'cursors' | 'prepared'

export function isNamed(cause: Cause): cause is NamedCause {
  return cause === 'channels' || cause === 'cursors' || cause === 'prepared'
}

/** Why the others pin, where no effect says it. */
const causeReasons: Readonly<Record<Exclude<Cause, NamedCause>, string>> = {
  temp: 'temporary objects',
  locks: 'session advisory lock',
  slots: 'temporary replication slot',
  dblink: 'dblink connection',
}

/** What pins a session for what it is itself, whatever the server could say; it ends with `drop`. */
export type OwnPin =
  /**
   * The server has half an implicit transaction: the next thing that it is asked is refused, which is
   * the client's to hear, and no question's.
   */
  | 'stumbled'
  /** What is created without a schema is temporary. */
  | 'search_path'
  /** These two end with DISCARD SEQUENCES. */
  | 'reads sequences'
  | 'calls nextval'
  /** pg_settings doesn't show such a parameter, and nobody can ask for it. */
  | 'unknown customs'
  /** See `own-names.ts`. */
  | 'own names'

const ownWhys: Readonly<Record<OwnPin, string>> = {
  stumbled: 'a Query came inside a segment',
  search_path: 'search_path names the temporary schema',
  'reads sequences': 'uses currval() or lastval()',
  'calls nextval': 'nextval(), and this application uses currval()',
  'unknown customs': 'may have set a parameter that no text names',
  'own names': 'its prepared statements are seen by name',
}

/**
 * Why a session must keep its server connection. Each reason goes when the state that caused it
 * provably goes; the session is free when none is left.
 */
export class Pins {
  #channels = new Set<string>()
  #prepared = new Set<string>()
  #cursors = new Set<string>()
  /** Causes that are counted by nothing here → the reason. */
  #causes = new Map<Cause, string>()
  /** Parameters whose values are not known; `*`: any of pg_settings. */
  #settings = new Set<string>()
  readonly #own = new Set<OwnPin>()
  /** Lasting pins of statements, as they say it: no server can be asked about them. */
  readonly #said = new Set<string>()
  /** What may have gone, or may never have come. */
  #doubts = new Set<Cause>()
  #settingsInDoubt = new Set<string>()
  /** What has run of which it isn't known what it left: one clause; null: there is nothing. */
  #unproved: string | null = null
  #isUnprovedInDoubt = false
  /** Connections of dblink: opened since the last answer, and those with a name in that answer. */
  #dblinkOpened = 0
  #dblinkNamed = 0
  #hasUnnamedDblink = false

  /**
   * Is there something on the server that the client would miss? Not where it is pinned for what it
   * may ask later.
   */
  get holdsState(): boolean {
    let held = this.#said.size + this.#own.size
    if (this.#own.has('search_path')) held--
    if (this.#own.has('calls nextval')) held--
    // What a transaction may have left goes with it; what came before it has been asked for.
    if (held > 0 || this.#channels.size > 0 || this.#prepared.size > 0) return true
    return this.#cursors.size > 0 || this.#causes.size > 0 || this.#settings.size > 0
  }

  /** The client is to hear notifications. */
  get listens(): boolean {
    return this.#channels.size > 0
  }

  /**
   * Which reads need nothing of what pins: values of sequences are seen by no proved read, a parameter
   * that nobody knows by none that is proved to look at no such parameter.
   */
  get freeReads(): 'all' | 'that ignore customs' | 'none' {
    if (this.#own.size === 0 || this.#said.size > 0) return 'none'
    if (this.#unproved !== null || this.#isUnprovedInDoubt) return 'none'
    if (this.#channels.size > 0 || this.#prepared.size > 0 || this.#cursors.size > 0) return 'none'
    if (this.#causes.size > 0 || this.#doubts.size > 0) return 'none'
    if (this.#settings.size > 0 || this.#settingsInDoubt.size > 0) return 'none'
    let free: 'all' | 'that ignore customs' = 'all'
    for (const own of this.#own) {
      if (own === 'unknown customs') free = 'that ignore customs'
      else if (own !== 'calls nextval' && own !== 'reads sequences') return 'none'
    }
    return free
  }

  /** One clause, or null when the session is not pinned. */
  get reason(): string | null {
    if (this.#channels.size > 0) return `listens on ${[...this.#channels].join(', ')}`
    if (this.#prepared.size > 0) return `prepared statement ${[...this.#prepared].join(', ')}`
    if (this.#cursors.size > 0) return `cursor ${[...this.#cursors].join(', ')} WITH HOLD`
    for (const reason of this.#causes.values()) return reason
    for (const own of this.#own) return ownWhys[own]
    for (const why of this.#said) return why
    if (this.#unproved !== null) return `may have changed the session: ${this.#unproved}`
    for (const name of this.#settings) return settingPin(name)
    return null
  }

  /** The same for others' eyes: what it is, without its name. */
  get kind(): string | null {
    if (this.#channels.size > 0) return 'LISTEN'
    if (this.#prepared.size > 0) return 'prepared statements'
    if (this.#cursors.size > 0) return 'cursors WITH HOLD'
    for (const cause of this.#causes.keys()) return isNamed(cause) ? cause : causeReasons[cause]
    for (const own of this.#own) return ownWhys[own]
    for (const why of this.#said) return why
    if (this.#unproved !== null) return 'what a statement may have changed'
    return this.#settings.size > 0 ? 'settings whose values are not known' : null
  }

  /** The same as one of a few words. */
  get word(): PinWord | null {
    if (this.#channels.size > 0) return 'channels'
    if (this.#prepared.size > 0) return 'prepared'
    if (this.#cursors.size > 0) return 'cursors'
    for (const cause of this.#causes.keys()) return cause
    for (const own of this.#own) {
      return own === 'reads sequences' || own === 'calls nextval' ? 'sequences' : 'other'
    }
    if (this.#said.size > 0) return 'other'
    if (this.#unproved !== null) return 'unproved'
    return this.#settings.size > 0 ? 'settings' : null
  }

  /** Pins until `drop` or DISCARD ALL; what statements say of themselves until DISCARD ALL. */
  add(pin: OwnPin | Pin): void {
    if (typeof pin === 'string') this.#own.add(pin)
    else this.#said.add(pin.why)
  }

  drop(pin: OwnPin): void {
    this.#own.delete(pin)
  }

  /** Anything may have been left: pins until the server has told. `why`: one clause. */
  doubtEverything(why: string): void {
    this.#unproved ??= why
    this.#isUnprovedInDoubt = true
  }

  /** The server has told everything. */
  knowEverything(): void {
    if (!this.#isUnprovedInDoubt) this.#unproved = null
  }

  /** Is there what DISCARD ALL doesn't undo, as far as is known? */
  get outlivesDiscard(): boolean {
    return this.#own.size > 0 || this.#said.size > 0 || this.#unproved !== null
  }

  /** Pins until the server has told the parameter's value. */
  ask(name: string): void {
    this.#settings.add(name)
    this.#settingsInDoubt.add(name)
  }

  /** The parameter has got another value: what kept it from being known may be over. */
  askAgain(name: string): void {
    if (this.#settings.has(name)) this.#settingsInDoubt.add(name)
  }

  /** The value of a parameter is known. */
  know(name: string): void {
    this.#settings.delete(name)
  }

  /** The server's session may have a temporary schema now. */
  get mayHaveTemporarySchema(): boolean {
    return this.#causes.has('temp') || this.#unproved !== null || this.#own.has('search_path')
  }

  /** Nothing else pins. */
  isOnly(pin: OwnPin): boolean {
    if (!this.#own.has(pin) || this.#own.size > 1 || this.#said.size > 0) return false
    if (this.#channels.size > 0 || this.#prepared.size > 0 || this.#cursors.size > 0) return false
    return this.#causes.size === 0 && this.#settings.size === 0 && this.#unproved === null
  }

  /** There is nothing on the server: the session must only stay off the replicas. */
  get needsNoConnection(): boolean {
    return this.isOnly('search_path')
  }

  /** A rollback or an error may have taken any of it back. */
  doubtAll(): void {
    if (this.#channels.size > 0) this.#doubts.add('channels')
    if (this.#cursors.size > 0) this.#doubts.add('cursors')
    for (const cause of this.#causes.keys()) this.#doubts.add(cause)
    for (const name of this.#settings) this.#settingsInDoubt.add(name)
    if (this.#unproved !== null) this.#isUnprovedInDoubt = true
  }

  /** DEALLOCATE has run. */
  doubtPrepared(): void {
    if (this.#prepared.size > 0) this.#doubts.add('prepared')
  }

  clear(): void {
    this.#channels.clear()
    this.#prepared.clear()
    this.#cursors.clear()
    this.#causes.clear()
    this.#settings.clear()
    this.#own.clear()
    this.#said.clear()
    this.#doubts.clear()
    this.#settingsInDoubt.clear()
    this.#unproved = null
    this.#isUnprovedInDoubt = false
    this.#dblinkOpened = 0
    this.#dblinkNamed = 0
    this.#hasUnnamedDblink = false
  }

  /** What the server should be asked now, once; null: nothing is in doubt. */
  question(): PinQuestion | null {
    if (this.#own.has('stumbled')) return null
    const isOpen = this.#isUnprovedInDoubt
    if (!isOpen && this.#doubts.size === 0 && this.#settingsInDoubt.size === 0) return null
    const settings = [...this.#settingsInDoubt]
    const question = {
      causes: isOpen ? allCauses : [...this.#doubts],
      settings: settings.filter((name) => name !== '*'),
      allSettings: isOpen || settings.includes('*'),
      isOpen,
    }
    this.#doubts.clear()
    this.#settingsInDoubt.clear()
    this.#isUnprovedInDoubt = false
    return question
  }

  /** The server's answer: how many there are of it. Locks and the like only count as some or none. */
  answer(cause: Cause, count: number): void {
    if (cause === 'dblink') this.#answerDblink(count)
    else if (count > 0) {
      if (!isNamed(cause)) this.#causes.set(cause, causeReasons[cause])
    } else if (cause === 'channels') this.#channels.clear()
    else if (cause === 'cursors') this.#cursors.clear()
    else if (cause === 'prepared') this.#prepared.clear()
    else this.#causes.delete(cause)
  }

  /** The same for what has names, by which it can be given up again. */
  answerNames(cause: NamedCause, names: readonly string[]): void {
    const found = new Set(names)
    if (cause === 'channels') this.#channels = found
    else if (cause === 'cursors') this.#cursors = found
    else this.#prepared = found
  }

  /** dblink tells the connections that have names; one was opened without if there are too few. */
  #answerDblink(named: number): void {
    if (named < this.#dblinkNamed + this.#dblinkOpened) this.#hasUnnamedDblink = true
    this.#dblinkOpened = 0
    this.#dblinkNamed = named
    if (named > 0) this.#causes.set('dblink', causeReasons.dblink)
    if (named === 0 && !this.#hasUnnamedDblink) this.#causes.delete('dblink')
  }

  /** True when the effect pins or unpins by itself, so that the class's own reason is not needed. */
  apply(effect: Effect): boolean {
    switch (effect.kind) {
      case 'listen':
        this.#channels.add(effect.channel)
        return true
      case 'unlisten':
        if (effect.channel === null) this.#channels.clear()
        else this.#channels.delete(effect.channel)
        return true
      case 'prepare':
        this.#prepared.add(effect.name)
        return true
      case 'execute':
        return true
      case 'deallocate':
        if (effect.name === null) this.#prepared.clear()
        else this.#prepared.delete(effect.name)
        return true
      case 'declare':
        if (effect.hold) this.#cursors.add(effect.name)
        return effect.hold
      case 'close-cursor':
        if (effect.name === null) this.#cursors.clear()
        else this.#cursors.delete(effect.name)
        return true
      case 'temp':
        return this.#cause('temp', effect)
      case 'ddl':
        // DROP of what is temporary, or CREATE where search_path makes it so.
        if (this.#own.has('search_path')) this.#cause('temp', { kind: 'temp' })
        else if (this.#causes.has('temp')) this.#doubts.add('temp')
        return false
      case 'advisory-lock':
        return this.#cause('locks', effect)
      case 'advisory-unlock':
        if (effect.all) this.#causes.delete('locks')
        else if (this.#causes.has('locks')) this.#doubts.add('locks')
        return true
      case 'dblink':
        return this.#dblink(effect)
      case 'unproved':
        this.doubtEverything(effect.why)
        for (const name of effect.customs ?? []) this.ask(name)
        if (effect.customs === null) this.#own.add('unknown customs')
        return true
      case 'sequence-read':
        // It pins in `sequences.ts`, which knows what came before.
        return true
      case 'discard':
        if (effect.what === 'all') this.clear()
        else if (effect.what === 'temp') this.#causes.delete('temp')
        else if (effect.what === 'sequences') {
          this.drop('reads sequences')
          this.drop('calls nextval')
        }
        return true
      default:
        return false
    }
  }

  #cause(cause: Cause, effect: Effect): boolean {
    this.#causes.set(cause, effectPin(effect) ?? cause)
    // ON COMMIT DROP, a lock that was not got, a branch that did not run …
    this.#doubts.add(cause)
    return true
  }

  #dblink(effect: Extract<Effect, { kind: 'dblink' }>): boolean {
    if (!effect.ends) {
      this.#dblinkOpened++
      return this.#cause('dblink', effect)
    }
    if (!this.#causes.has('dblink')) return true
    if (!effect.hasArguments) this.#hasUnnamedDblink = false
    else if (this.#dblinkNamed > 0) this.#dblinkNamed--
    this.#doubts.add('dblink')
    return true
  }
}
