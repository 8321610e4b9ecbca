import { arrayText, rolesSql } from '../auth/identity-sql.ts'
import type { ClientSession } from '../client/session.ts'
import type { QuestionLine } from './question-line.ts'
import type { Scope } from './scope.ts'

/** Settings that make a session somebody else, by name. */
const settings = ['role', 'session_authorization'] as const

/**
 * Roles that sessions have taken (SET ROLE, SET SESSION AUTHORIZATION). A server remembers who that
 * is; what is told the next server connection of the session is a name, which may be somebody else's
 * by then. Whose name has come to stand for another role is sent away.
 */
export class TakenRoles {
  /** Name → OID, when it was asked for last; '' = there is no such role. */
  readonly #known = new Map<string, string>()

  /** Is it known who has this name, as a session's state has it? */
  knows(value: string): boolean {
    return value === 'none' || this.#known.has(nameOf(value))
  }

  /** `isChanged`: something may have become of any role since the last look. */
  async look(questions: QuestionLine, scopes: readonly Scope[], isChanged: boolean): Promise<void> {
    const takers = takersIn(scopes)
    for (const name of this.#known.keys()) if (!takers.has(name)) this.#known.delete(name)
    const names = [...takers.keys()].filter((name) => isChanged || !this.#known.has(name))
    if (names.length === 0) return
    const rows = await questions.askAgain(rolesSql, ['text[]'], [arrayText(names)])
    for (const [i, name] of names.entries()) {
      const oid = rows[i]?.role ?? ''
      const before = this.#known.get(name)
      this.#known.set(name, oid)
      if (before === undefined || before === oid) continue
      // Who has taken it meanwhile is sent away with the others: it logs in again, and is right.
      for (const session of takersIn(scopes).get(name) ?? []) {
        session.sendAway(
          '57P01',
          `terminating connection because role "${name}" was renamed or dropped`,
        )
      }
    }
  }
}

function nameOf(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8')
}

function takersIn(scopes: readonly Scope[]): Map<string, ClientSession[]> {
  const takers = new Map<string, ClientSession[]>()
  for (const { sessions } of scopes) {
    for (const session of sessions) {
      for (const setting of settings) {
        const value = session.state.get(setting)
        if (value === undefined || value === 'none') continue
        const name = nameOf(value)
        const others = takers.get(name)
        if (others === undefined) takers.set(name, [session])
        else others.push(session)
      }
    }
  }
  return takers
}
