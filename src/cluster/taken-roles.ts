import { arrayText, rolesSql } from '../auth/identity-sql.ts'
import type { ClientSession } from '../client/session.ts'
import type { QuestionLine } from './question-line.ts'
import type { Scope } from './scope.ts'

/** Settings that make a session somebody else, by name. */
const settings = ['role', 'session_authorization'] as const
export type RoleSetting = (typeof settings)[number]

/** A session that has taken a role by one of them. */
interface Taker {
  readonly session: ClientSession
  readonly setting: RoleSetting
  readonly name: string
}

/**
 * Roles that sessions have taken (SET ROLE, SET SESSION AUTHORIZATION). A server remembers who that
 * is; what is told the next server connection of the session is a name, which may be somebody else's
 * by then. Whose name has come to stand for another role is sent away.
 */
export class TakenRoles {
  /** The OID of the role that a session has taken by a setting; '' = nobody had that name since. */
  readonly #known: Readonly<Record<RoleSetting, WeakMap<ClientSession, string>>> = {
    role: new WeakMap(),
    session_authorization: new WeakMap(),
  }
  #isWanted = false

  /** A session has taken a role since the last look began. */
  get isWanted(): boolean {
    return this.#isWanted
  }

  /** The session has taken a role by this setting now: it is asked for at the next look. */
  noteTaken(session: ClientSession, setting: RoleSetting): void {
    this.#known[setting].delete(session)
    this.#isWanted = true
  }

  /** `isChanged`: something may have become of any role since the last look. */
  async look(questions: QuestionLine, scopes: readonly Scope[], isChanged: boolean): Promise<void> {
    this.#isWanted = false
    const takers = takersIn(scopes).filter(
      ({ session, setting }) => isChanged || !this.#known[setting].has(session),
    )
    if (takers.length === 0) return
    const names = [...new Set(takers.map(({ name }) => name))]
    const rows = await questions.askAgain(rolesSql, ['text[]'], [arrayText(names)])
    const oids = new Map(names.map((name, i) => [name, rows[i]?.role ?? '']))
    for (const { session, setting, name } of takers) {
      // It may have taken another one meanwhile.
      if (nameIn(session, setting) === name)
        this.#note(session, setting, name, oids.get(name) ?? '')
    }
  }

  #note(session: ClientSession, setting: RoleSetting, name: string, oid: string): void {
    const known = this.#known[setting]
    const before = known.get(session)
    // A name that nobody has is refused by every server until somebody has it, or it is reset.
    if (before !== undefined && oid === '') return
    known.set(session, oid)
    if (before === undefined || before === oid) return
    session.sendAway('57P01', `terminating connection because role "${name}" is another role now`)
  }
}

/** The name that the session has taken by this setting; null: none. */
function nameIn(session: ClientSession, setting: RoleSetting): string | null {
  const value = session.state.get(setting)
  // States have bytes, one character each.
  if (value === undefined || value === 'none') return null
  return Buffer.from(value, 'latin1').toString('utf8')
}

function takersIn(scopes: readonly Scope[]): Taker[] {
  const takers: Taker[] = []
  for (const { sessions } of scopes) {
    for (const session of sessions) {
      for (const setting of settings) {
        const name = nameIn(session, setting)
        if (name !== null) takers.push({ session, setting, name })
      }
    }
  }
  return takers
}
