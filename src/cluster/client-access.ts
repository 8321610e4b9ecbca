import { type HbaRule, hbaSql, parseHbaRules } from '../auth/hba-file.ts'
import type { Identity } from '../auth/identity.ts'
import {
  type AccessFacts,
  type AccessRule,
  decidingRule,
  rulesRefusal,
} from '../client/access-rules.ts'
import { type Grants, joinGrants, noGrants } from '../client/grants.ts'
import { hbaRulesRefusal } from '../client/hba-rules.ts'
import type { AuthConfig } from '../config/config.ts'
import { PgSplitError } from '../errors.ts'
import { parseRange } from '../net/address-range.ts'
import { nowMs } from '../net/turn-clock.ts'
import type { QuestionLine } from './question-line.ts'

/** How long pg_hba.conf counts as unreadable before it is tried again, ms. */
const retryMs = 60_000

interface Hba {
  /** When the server had read its configuration; null: it can't be read. */
  readonly configuredAt: string | null
  readonly rules: readonly HbaRule[]
  /** pgsplit's own address as the server sees it. */
  readonly ownAddress: string | null
  readonly atMs: number
}

/** From where, and over what, clients may come: `auth.rules`, and what the primary's pg_hba.conf says. */
export class ClientAccess {
  readonly #rules: readonly AccessRule[] | null
  readonly #followsPgHba: boolean
  readonly #questions: QuestionLine
  #hba: Hba | null = null
  #asking: Promise<Hba> | null = null

  readonly #users: AuthConfig['users']

  constructor({ rules, followsPgHba, users }: AuthConfig, questions: QuestionLine) {
    this.#users = users
    this.#rules =
      rules?.map((rule) => ({
        ...rule,
        addresses: rule.addresses?.flatMap((text) => parseRange(text) ?? []) ?? null,
      })) ?? null
    this.#followsPgHba = followsPgHba
    this.#questions = questions
  }

  refusal(facts: AccessFacts): PgSplitError | null {
    return this.#rules === null ? null : rulesRefusal(this.#rules, facts)
  }

  /**
   * What a client gets that has been let in, and by which entries: `users`, `rules[2]`, both, or
   * neither ('').
   */
  grants(facts: AccessFacts): { readonly grants: Grants; readonly source: string } {
    const user = this.#users.find(({ name }) => name === facts.user)
    const rules = this.#rules ?? []
    const rule = decidingRule(rules, facts)
    const grants = joinGrants(user?.grants ?? noGrants, rule?.grants ?? noGrants)
    const sources = [
      ...(user === undefined ? [] : ['users']),
      ...(rule === undefined ? [] : [`rules[${rules.indexOf(rule)}]`]),
    ]
    return { grants, source: sources.join(' and ') }
  }

  /** `identity`: what the server has just said of the client. */
  async hbaRefusal(facts: AccessFacts, identity: Identity): Promise<PgSplitError | null> {
    if (!this.#followsPgHba) return null
    if (this.#isOutdated(identity)) {
      this.#asking ??= this.#ask(identity.configuredAt).finally(() => {
        this.#asking = null
      })
      this.#hba = await this.#asking
    }
    return this.#hba === null ? null : hbaRulesRefusal(this.#hba.rules, facts, this.#hba.ownAddress)
  }

  #isOutdated({ configuredAt }: Identity): boolean {
    if (this.#hba === null) return true
    if (this.#hba.configuredAt === null) return nowMs() - this.#hba.atMs > retryMs
    return this.#hba.configuredAt !== configuredAt
  }

  async #ask(configuredAt: string): Promise<Hba> {
    const atMs = nowMs()
    const former = this.#hba
    try {
      const [row] = await this.#questions.ask(hbaSql)
      const rules = parseHbaRules(row?.rules ?? '')
      const ownAddress = row?.own_address ?? null
      // With a mistake in the file the server goes on with the one before.
      return { configuredAt, rules: rules ?? former?.rules ?? [], ownAddress, atMs }
    } catch (error) {
      const mayNot = error instanceof PgSplitError && error.sqlstate === '42501'
      // Nobody answers now: what was read before still counts, and it is asked again.
      if (!mayNot && former !== null) return former
      return { configuredAt: null, rules: [], ownAddress: null, atMs: mayNot ? atMs : -retryMs }
    }
  }
}
