import { arrayText, changeMarkSql, currentSql, mayReadAuthidSql } from '../auth/identity-sql.ts'
import type { ClientSession } from '../client/session.ts'
import type { EventLog } from '../core/event-log.ts'
import { nowMs } from '../net/turn-clock.ts'
import type { QuestionLine } from './question-line.ts'
import type { Scope } from './scope.ts'
import { type RoleSetting, TakenRoles } from './taken-roles.ts'

/** Between two looks for changes, ms: at least so long, and so many times what a look takes. */
const pauseMs = 500
const pauseShare = 50
/** The same where a session has taken a role since the last one. */
const takenShare = 5
/** Scopes in one question. */
const maxAsked = 200

export interface IdentityWatchOptions {
  readonly questions: QuestionLine
  readonly hasPrimary: () => boolean
  readonly scopes: ReadonlyMap<string, Scope>
  readonly log: EventLog
  /** Roles or databases have changed, whichever. */
  readonly onChange: () => void
  /** Connections of these scopes are made of what is no longer true. */
  readonly onOutdated: (scopes: readonly Scope[]) => void
  /** The role or the database is gone, or the name stands for another database now. */
  readonly onGone: (scope: Scope, why: string) => void
  /** Somebody waits to have this database for himself. */
  readonly onLocked: (database: string) => void
}

/**
 * Notices what becomes of the roles and databases of open scopes, whoever changed it. One question
 * at the shared catalogs tells whether anything was changed at all; only then the scopes are asked
 * for, by OID. (Who logs in anew is asked for there and then, see `IdentityLookup`.)
 */
export class IdentityWatch {
  readonly #options: IdentityWatchOptions
  #timer: NodeJS.Timeout | null = null
  #looking: Promise<void> | null = null
  #isWanted = false
  #isStopped = false
  #mayReadAuthid: boolean | null = null
  #mark: string | null = null
  readonly #taken = new TakenRoles()
  #isFailing = false
  #endedMs = 0
  #tookMs = 0

  constructor(options: IdentityWatchOptions) {
    this.#options = options
  }

  start(): void {
    this.#pause(pauseMs)
  }

  stop(): void {
    this.#isStopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  /** Looks now: something was changed, or may have been. */
  hurry(): void {
    if (this.#isStopped) return
    if (this.#looking === null) this.#look()
    else this.#isWanted = true
  }

  /** A session has taken a role by this setting: who that is must be known before the name is another's. */
  noteTaken(session: ClientSession, setting: RoleSetting): void {
    this.#taken.noteTaken(session, setting)
    if (this.#isStopped || this.#looking !== null) return
    this.#pause(Math.max(0, this.#endedMs + takenShare * this.#tookMs - nowMs()))
  }

  #pause(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      if (this.#looking === null) this.#look()
    }, ms).unref()
  }

  #look(): void {
    this.#isWanted = false
    const sinceMs = nowMs()
    this.#looking = this.#ask()
      .then(() => {
        this.#isFailing = false
      })
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#looking = null
        if (this.#isStopped) return
        this.#endedMs = nowMs()
        this.#tookMs = this.#endedMs - sinceMs
        if (this.#isWanted) this.#look()
        else if (this.#taken.isWanted) this.#pause(takenShare * this.#tookMs)
        else this.#pause(Math.max(pauseMs, pauseShare * this.#tookMs))
      })
  }

  async #ask(): Promise<void> {
    const { questions, hasPrimary, onLocked, onChange } = this.#options
    if (!hasPrimary() || this.#scopes().length === 0) return
    if (this.#mayReadAuthid === null) {
      const [row] = await questions.ask(mayReadAuthidSql)
      this.#mayReadAuthid = row?.may === 'true'
    }
    const [row] = await questions.askAgain(changeMarkSql(this.#mayReadAuthid))
    if (row?.standby !== 'false') return
    const locked: unknown = JSON.parse(row.locked ?? '[]')
    if (Array.isArray(locked)) for (const database of locked) onLocked(String(database))
    const mark = row.mark ?? ''
    const isChanged = mark !== this.#mark
    // Before connections of what there is now are taken for right.
    await this.#taken.look(questions, this.#scopes(), isChanged)
    if (!isChanged) return
    onChange()
    await this.#askForScopes()
    this.#mark = mark
  }

  #scopes(): Scope[] {
    return [...this.#options.scopes.values()].filter(({ isGone }) => !isGone)
  }

  async #askForScopes(): Promise<void> {
    const { questions, onOutdated, onGone } = this.#options
    const scopes = this.#scopes()
    const outdated: Scope[] = []
    for (let at = 0; at < scopes.length; at += maxAsked) {
      const part = scopes.slice(at, at + maxAsked)
      const oids = [
        arrayText(part.map(({ identity }) => identity.role)),
        arrayText(part.map(({ identity }) => identity.database)),
      ]
      const rows = await questions.askAgain(currentSql, ['oid[]', 'oid[]'], oids)
      for (const [i, scope] of part.entries()) {
        const row = rows[i]
        if (row === undefined || row.standby !== 'false') throw new Error('asked of a standby')
        const { role_name, database_name, digest } = row
        if (role_name == null) onGone(scope, `role "${scope.identity.roleName}" was dropped`)
        else if (database_name == null) onGone(scope, `database "${scope.database}" was dropped`)
        else if (database_name !== scope.database) {
          onGone(scope, `database "${scope.database}" was renamed`)
        } else if (scope.identity.note(role_name, digest ?? '')) outdated.push(scope)
      }
    }
    if (outdated.length > 0) onOutdated(outdated)
  }

  #failed(error: unknown): void {
    this.#mayReadAuthid = null
    // A question that was asked when pgsplit was stopped loses its connection: that is no news.
    if (this.#isStopped || this.#isFailing) return
    this.#isFailing = true
    this.#options.log.warn(
      { event: 'identity_failed', reason: 'question', error },
      'changes of roles and databases can not be noticed now; it is tried again',
    )
  }
}
