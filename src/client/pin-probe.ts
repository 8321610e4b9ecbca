import { type Asker, ask, type OwnAnswer } from '../server/ask.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { isTrackableName } from '../server/state-sync.ts'
import { query } from '../wire/frontend-messages.ts'
import { type TextRow, textRow } from '../wire/text-row.ts'
import { isOwnSetting } from './own-settings.ts'
import { questionText } from './pin-question.ts'
import { type Cause, isNamed, type NamedCause, type PinQuestion } from './pins.ts'
import type { ClientSession } from './session.ts'
import { forgetSetting, refreshFacts, takeOwnSetting, trackSetting } from './setting-effects.ts'

/**
 * Asks the server of a pinned session whether what pinned it is still there, and what values its
 * settings have. The question goes out at once and nobody waits for it: what the client sends
 * meanwhile queues behind it on the same connection. Outside of a transaction only.
 */
export function askServer(
  session: ClientSession,
  connection: ServerConnection,
  done: () => void,
): void {
  const question = session.pins.question()
  if (question === null) return
  const customs = [...session.state.customs, ...connection.state.customs].filter(isTrackableName)
  const settings = question.settings.filter(isTrackableName)
  const bytes = query(questionText({ ...question, settings }, customs))
  session.isAsking = question.isOpen
  ask(connection, bytes, new PinProbe(session, connection, question, done))
}

/** Gets the answer; whatever goes wrong with it leaves the session pinned. */
class PinProbe implements Asker {
  readonly #session: ClientSession
  readonly #connection: ServerConnection
  readonly #question: PinQuestion
  readonly #done: () => void
  /** What the connection had when it was asked: what is prepared meanwhile is no answer. */
  readonly #prepared: readonly string[]

  constructor(
    session: ClientSession,
    connection: ServerConnection,
    question: PinQuestion,
    done: () => void,
  ) {
    this.#session = session
    this.#connection = connection
    this.#question = question
    this.#done = done
    this.#prepared = question.causes.includes('prepared') ? [...connection.prepared.keys()] : []
  }

  parameter(frame: Buffer): void {
    if (this.#connection.holder === this.#session) this.#session.say(Buffer.from(frame))
  }

  answered(answer: OwnAnswer): void {
    const session = this.#session
    session.isAsking = false
    if (session.lease !== this.#connection) return
    // Values are kept as the bytes that they are in the client's encoding.
    const rows = answer.rows.map((row) => textRow(row, 0, row.length, 'latin1'))
    if (answer.error === null && !answer.isCut) this.#settleAll(rows)
    this.#done()
  }

  lost(): void {
    this.#session.isAsking = false
  }

  #settleAll(rows: TextRow[]): void {
    const session = this.#session
    const { causes, settings, allSettings, isOpen } = this.#question
    const counts = causes.length > 0 ? rows.pop() : []
    if (counts?.length !== causes.length) return
    let isAllKnown = true
    for (const [i, cause] of causes.entries()) {
      if (!this.#answer(cause, counts[i] ?? null)) isAllKnown = false
    }
    if (settings.length === 0 && !allSettings) return
    if (rows.some((row) => row.length !== 4)) return
    const found = new Set<string | null>()
    if (allSettings) {
      for (const [name, , , isSession] of rows) if (isSession === 't') found.add(name ?? null)
      this.#forgetOthers(found)
    }
    // A new session user resets the role, so he has to be known first.
    rows.sort(([a], [b]) => rank(a ?? null) - rank(b ?? null))
    for (const row of rows) if (!this.#learn(row)) isAllKnown = false
    if (allSettings && isAllKnown) session.pins.know('*')
    if (isOpen && isAllKnown) session.pins.knowEverything()
    refreshFacts(session)
    this.#connection.adoptState(session.settings.onServer)
    this.#connection.explainParameters()
  }

  /** False: what the server says of it can't be read. */
  #answer(cause: Cause, answer: string | null): boolean {
    const { pins } = this.#session
    if (isNamed(cause)) {
      const names = namesIn(answer)
      if (names === null) return false
      pins.answerNames(cause, this.#foreign(cause, names))
      return true
    }
    // No extension, no connection of it.
    const count = Number(answer ?? (cause === 'dblink' ? 0 : Number.NaN))
    if (!Number.isInteger(count)) return false
    pins.answer(cause, count)
    return true
  }

  /** Names that are not pgsplit's own; of those it takes note which have gone. */
  #foreign(cause: NamedCause, names: readonly string[]): readonly string[] {
    if (cause === 'channels') {
      const { listener } = this.#session
      return listener === null ? names : names.filter((name) => !listener.hears(name))
    }
    if (cause !== 'prepared') return names
    const { prepared } = this.#connection
    const there = new Set(names)
    const { statements } = this.#session
    for (const name of this.#prepared) {
      if (there.has(name)) continue
      prepared.delete(name)
      // Dropped by SQL that no text shows: it must not come back.
      const own = statements.isOwn ? statements.get(name) : undefined
      if (own !== undefined) statements.forget(name, own)
    }
    return names.filter((name) => !prepared.has(name) && !name.startsWith('pgsplit_'))
  }

  /** What the session no longer has set has been reset. */
  #forgetOthers(found: ReadonlySet<string | null>): void {
    const { state } = this.#session
    for (const [name] of state.entries) {
      const isShown = !name.includes('.') && name !== 'role' && name !== 'session_authorization'
      if (isShown && !found.has(name)) forgetSetting(this.#session, name)
    }
  }

  /** False: the parameter can't be set on another connection as it is here. */
  #learn([name, value, context, source]: TextRow): boolean {
    const session = this.#session
    if (name === null || name === undefined || name.startsWith('transaction_')) return true
    if (isOwnSetting(name)) {
      takeOwnSetting(session, name, value ?? null)
      session.pins.know(name)
      return true
    }
    const isKnown = value === null || value === undefined || session.state.get(name) === value
    const isRestricted = context === 'superuser' || context === 'superuser-backend'
    const isSuperuser = this.#connection.parameters.get('is_superuser') === 'on'
    if (!isKnown && ((isRestricted && !isSuperuser) || !isTrackableName(name))) return false
    session.pins.know(name)
    if (isKnown) return true
    if (source === 'd') this.#learnDefault(name, value)
    else if (!isDefaultIdentity(session, name, value, source ?? null)) {
      trackSetting(session, name, value)
    }
    return true
  }

  /**
   * A custom parameter has its default. If that is empty, which `current_setting(name, true)` tells
   * from none at all, the session has made it known.
   */
  #learnDefault(name: string, value: string): void {
    const session = this.#session
    if (session.state.get(name) !== undefined) forgetSetting(session, name)
    if (value === '') session.settings.know([name])
  }
}

/** Names from a JSON array of the server's; null: it is none. */
function namesIn(json: string | null): readonly string[] | null {
  if (json === null) return []
  try {
    const names: unknown = JSON.parse(Buffer.from(json, 'latin1').toString())
    return Array.isArray(names) ? names.map(String) : null
  } catch {
    return null
  }
}

function rank(name: string | null): number {
  return name === 'session_authorization' ? 0 : name === 'role' ? 1 : 2
}

/** Who the session is when nobody has said otherwise; `own`: the role that its settings give it. */
function isDefaultIdentity(
  session: ClientSession,
  name: string,
  value: string,
  own: string | null,
): boolean {
  if (session.state.get(name) !== undefined) return false
  if (name === 'role') return value === (own?.startsWith('role=') ? own.slice(5) : 'none')
  return (
    name === 'session_authorization' && value === Buffer.from(session.scope.user).toString('latin1')
  )
}
