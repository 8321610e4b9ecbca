import { PgSplitError } from '../errors.ts'
import { makeClass } from '../sql/classify-text.ts'
import { withIgnorance } from '../sql/part.ts'
import type { Effect, NameSpot, StatementClass, StatementPart } from '../sql/statement-class.ts'
import { frontend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import { absentStatementClass } from './fixed-class.ts'
import { classOf, internPrepare } from './judge-parse.ts'
import { type PreparedStatement, takenName } from './prepared-statement.ts'
import type { ClientSession } from './session.ts'

const writer = new Writer(512)

/** What a statement of a text does to the session's names, once it has run. */
export interface NameStep {
  /** Number of the statement in its text. */
  readonly part: number
  /** `drop-all` has no name; `close`: only the session's name goes, by a Close message. */
  readonly kind: 'prepare' | 'drop' | 'drop-all' | 'close'
  readonly name: string
  readonly statement: PreparedStatement | null
  /** What DEALLOCATE drops on the server connection, by the server's names. */
  dropped?: string[]
}

/** A piece of the client's text, bytes from its start, that was replaced. */
export interface Edit {
  readonly from: number
  readonly to: number
  readonly bytes: Buffer
}

/**
 * A text with SQL-level PREPARE, EXECUTE or DEALLOCATE, whose names were replaced by those that the
 * server connections have: the session shares its statements with others.
 */
export interface NamedText {
  readonly original: Buffer
  /** What `original` was judged to be, for when it has to be resolved again. */
  readonly outer: StatementClass
  /** As the server gets it. */
  readonly text: Buffer
  readonly edits: readonly Edit[]
  readonly cls: StatementClass
  /** Statements that the server connection must have, and must not have, in front. */
  readonly needs: readonly PreparedStatement[]
  readonly absent: readonly PreparedStatement[]
  readonly steps: readonly NameStep[]
  /** A name that the session has, of the first PREPARE that wants it again. */
  readonly takenName: string | null
  /** It names a statement that the session does not have. */
  readonly hasUnknown: boolean
  /** EXECUTE without arguments: what errors point at is in that statement's text. */
  readonly pointsInto: PreparedStatement | null
  /** The class of the statement that the text executes and does nothing else; null: it does more. */
  readonly body: StatementClass | null
}

/** Does the text name prepared statements, or look at their names? */
export function namesStatements({ effects }: StatementClass): boolean {
  return effects.some(isAboutNames)
}

function isAboutNames({ kind }: Effect): boolean {
  return kind === 'prepare' || kind === 'execute' || kind === 'deallocate' || kind === 'own-names'
}

/** Must the server have the session's statements under the session's own names? */
export function needsOwnNames(session: ClientSession, { effects }: StatementClass): boolean {
  if (session.statements.isOwn) return false
  return effects.some(
    (effect) =>
      effect.kind === 'own-names' ||
      (isAboutNames(effect) && 'spot' in effect && effect.spot?.isOdd),
  )
}

class Resolver {
  readonly session: ClientSession
  readonly original: Buffer
  readonly edits: Edit[] = []
  readonly needs: PreparedStatement[] = []
  readonly absent: PreparedStatement[] = []
  readonly steps: NameStep[] = []
  readonly parts: StatementPart[] = []
  /** The class of the only statement, when it is that of what it executes. */
  only: StatementClass | null = null
  takenName: string | null = null
  #hasUnknown = false
  pointsInto: PreparedStatement | null = null

  readonly isAlone: boolean

  constructor(session: ClientSession, original: Buffer, isAlone: boolean) {
    this.session = session
    this.original = original
    this.isAlone = isAlone
  }

  part(part: StatementPart, index: number): void {
    if (!part.effects.some(isAboutNames)) {
      this.parts.push(part)
      return
    }
    const effects: Effect[] = []
    let { verdict, reason, pin } = part
    let ignorance = part.ignorance ?? null
    for (const effect of part.effects) {
      switch (effect.kind) {
        case 'own-names':
          break
        case 'prepare':
          this.prepare(effect, index)
          verdict = 'control'
          reason = 'prepares a statement'
          ignorance = null
          pin = null
          break
        case 'deallocate':
          this.deallocate(effect, index)
          break
        case 'execute': {
          const body = this.execute(effect)
          const runs = effect.args !== null ? effect.args : body
          const makes = part.effects.some(({ kind }) => kind === 'ddl' || kind === 'temp')
          const isTemporary = part.effects.some(({ kind }) => kind === 'temp')
          verdict = makes ? 'primary' : runs.verdict
          reason = runs.reason
          ignorance = runs.ignorance ?? null
          pin = isTemporary ? part.pin : (runs.pin ?? body.pin)
          if (pin !== null) verdict = 'pin'
          effects.push(...body.effects)
          if (!makes && effect.args === null && this.session.statements.has(effect.name)) {
            this.only = body
          }
          break
        }
        default:
          effects.push(effect)
      }
    }
    this.parts.push(withIgnorance({ verdict, reason, pin, effects }, ignorance))
  }

  prepare(effect: Effect & { readonly kind: 'prepare' }, part: number): void {
    const { name, spot } = effect
    const { statements } = this.session
    if (statements.has(name)) {
      if (!statements.isOwn) this.takenName ??= name
      this.edit(spot, takenName)
      return
    }
    const shared = internPrepare(this.session, this.original, effect, this.isAlone)
    const statement = statements.set(name, shared)
    this.edit(spot, statement.serverName)
    if (!this.knows(statement)) this.absent.push(statement)
    this.steps.push({ part, kind: 'prepare', name, statement })
  }

  /** The class of what is executed. */
  execute({ name, spot, hasArgs }: Effect & { readonly kind: 'execute' }): StatementClass {
    const statement = this.session.statements.get(name)
    if (statement === undefined) {
      this.unknown(name, spot)
      // While nothing pins the session, no function can have prepared it.
      return this.session.pinReason === null ? unknownClass : absentStatementClass
    }
    this.edit(spot, statement.serverName)
    if (!this.knows(statement)) this.needs.push(statement)
    this.pointsInto = hasArgs ? null : statement
    return classOf(this.session, statement)
  }

  deallocate({ name, spot }: Effect & { readonly kind: 'deallocate' }, part: number): void {
    const { statements } = this.session
    if (name === null || spot === undefined) {
      for (const [known, statement] of [...statements]) {
        statements.forget(known, statement)
        this.steps.push({ part, kind: 'drop', name: known, statement })
      }
      this.steps.push({ part, kind: 'drop-all', name: '', statement: null })
      return
    }
    const statement = statements.get(name)
    if (statement === undefined) {
      this.unknown(name, spot)
      return
    }
    this.edit(spot, statement.serverName)
    if (!this.knows(statement)) this.needs.push(statement)
    statements.forget(name, statement)
    this.steps.push({ part, kind: 'drop', name, statement })
  }

  /** The first statement of a text that names it says what must be there in front. */
  knows(statement: PreparedStatement): boolean {
    return this.needs.includes(statement) || this.absent.includes(statement)
  }

  /** A name of the client's that looks like one of ours must not reach one of ours. */
  unknown(name: string, spot: NameSpot): void {
    this.#hasUnknown = true
    if (name.startsWith('pgsplit_')) this.edit(spot, `"?${name}"`)
  }

  get hasUnknown(): boolean {
    return this.#hasUnknown
  }

  edit({ from, to }: NameSpot, name: string): void {
    if (!this.session.statements.isOwn) this.edits.push({ from, to, bytes: Buffer.from(name) })
  }
}

const unknownClass = makeClass(
  [
    {
      verdict: 'primary',
      reason: 'executes a statement that was not prepared',
      pin: null,
      effects: [],
    },
  ],
  'execute',
  null,
)

/** Replaces the names in `text`. The session has the text's own names from here on. */
export function resolveNames(
  session: ClientSession,
  outer: StatementClass,
  original: Buffer,
): NamedText {
  const isOne = outer.parts.length === 1
  const resolver = new Resolver(session, original, isOne)
  for (const [index, part] of outer.parts.entries()) resolver.part(part, index)
  const { edits, needs, absent, steps, parts, hasUnknown, takenName: taken } = resolver
  const body = isOne ? resolver.only : null
  let cls: StatementClass
  if (body === null) cls = makeClass(parts, outer.keyword, outer.hint)
  else if (outer.hint !== null) cls = { ...body, hint: outer.hint }
  // What is wrong with the arguments says nothing of the statement.
  else cls = resolver.pointsInto === null ? { ...body } : body
  return {
    original,
    outer,
    text: edits.length === 0 ? original : edited(original, edits),
    edits,
    cls,
    needs,
    absent,
    steps,
    takenName: taken,
    hasUnknown,
    pointsInto: isOne ? resolver.pointsInto : null,
    body,
  }
}

/** The class of what `EXPLAIN (ROUTE)` explains. Throws PgSplitError for a name that is unknown. */
export function explainedClass(session: ClientSession, inner: StatementClass): StatementClass {
  const effect = inner.effects.find(({ kind }) => kind === 'execute')
  if (effect?.kind !== 'execute') return inner
  const statement = session.statements.get(effect.name)
  if (statement !== undefined) {
    return effect.args === null
      ? classOf(session, statement)
      : makeClass([effect.args], 'execute', inner.hint)
  }
  throw new PgSplitError({
    sqlstate: '26000',
    message: `prepared statement "${effect.name}" does not exist`,
  })
}

/** A Query message of these bytes. */
export function queryBytes(text: Buffer): Buffer {
  return writer.begin(frontend.query).bytes(text).byte(0).end().take()
}

/** `text` with the pieces of `edits` (in order) replaced. */
export function edited(text: Buffer, edits: readonly Edit[]): Buffer {
  const pieces: Buffer[] = []
  let at = 0
  for (const { from, to, bytes } of edits) {
    pieces.push(text.subarray(at, from), bytes)
    at = to
  }
  pieces.push(text.subarray(at))
  return Buffer.concat(pieces)
}
