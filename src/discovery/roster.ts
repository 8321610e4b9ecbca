import { addressOf, type Member, type MemberList, memberKey } from './member.ts'

/** What became of a member that was joined earlier, as its owner knows. */
export type Standing =
  /** It can go when it is no longer listed. */
  | 'there'
  /** It serves as the primary: it stays, whatever the list says, until another one does. */
  | 'needed'
  /** It goes already, or is gone. */
  | 'leaving'

export type RosterChange =
  /** `replaces`: key of the same member at an address that is no longer listed. */
  | {
      readonly kind: 'join'
      readonly key: string
      readonly member: Member
      readonly replaces: string | null
    }
  /** Another claim, balance or zone. */
  | { readonly kind: 'update'; readonly key: string; readonly member: Member }
  | { readonly kind: 'leave'; readonly key: string; readonly missingMs: number }

interface Entry {
  readonly key: string
  member: Member | null
  readonly name: string
  readonly address: string
  readonly isFixed: boolean
  missingSinceMs: number | null
}

/** A node of the configuration: always there, whatever is discovered. */
export interface FixedMember {
  readonly name: string
  readonly host: string
  readonly port: number
}

/**
 * Compares each list with what is there. Who is missing leaves only after `removeAfterMs` without
 * being listed: a list may be incomplete (DNS servers hand out parts, a Patroni restarts).
 */
export class Roster {
  readonly #removeAfterMs: number
  readonly #entries = new Map<string, Entry>()

  constructor(fixed: readonly FixedMember[], removeAfterMs: number) {
    this.#removeAfterMs = removeAfterMs
    for (const one of fixed) this.#enter(one, null, true)
  }

  /** Keys of all members, those of the configuration first. */
  get keys(): readonly string[] {
    return [...this.#entries.keys()]
  }

  /** The owner could not take it in: the next list brings it again. */
  forget(key: string): void {
    if (this.#entries.get(key)?.isFixed === false) this.#entries.delete(key)
  }

  /** @param standing asked for every member that is not of the configuration */
  take(list: MemberList, nowMs: number, standing: (key: string) => Standing): RosterChange[] {
    const standings = new Map<Entry, Standing>()
    for (const entry of [...this.#entries.values()]) {
      const now = entry.isFixed ? 'needed' : standing(entry.key)
      if (now === 'leaving') this.#entries.delete(entry.key)
      else standings.set(entry, now)
    }
    const changes: RosterChange[] = []
    const listed = new Set<Entry>()
    const joining: Member[] = []
    for (const member of list.members) {
      const entry = this.#find(member)
      if (entry === undefined) joining.push(member)
      else if (!listed.has(entry)) {
        listed.add(entry)
        entry.missingSinceMs = null
        if (!isSame(entry.member, member)) {
          changes.push({ kind: 'update', key: entry.key, member })
          entry.member = member
        }
      }
    }
    for (const member of joining) {
      // Two of one address are one.
      if (this.#find(member) !== undefined) continue
      const fresh = this.#named(member, listed)
      const former = [...this.#entries.values()].find(
        (entry) => entry.name === fresh.name && !entry.isFixed && !listed.has(entry),
      )
      const entry = this.#enter(fresh, fresh, false)
      listed.add(entry)
      changes.push({
        kind: 'join',
        key: entry.key,
        member: fresh,
        replaces: former?.key ?? null,
      })
    }
    for (const entry of [...this.#entries.values()]) {
      if (entry.isFixed || listed.has(entry)) continue
      // While Patroni is paused, or for want of anybody else, nobody is gone.
      if (list.isPaused) {
        entry.missingSinceMs = null
        continue
      }
      entry.missingSinceMs ??= nowMs
      const missingMs = nowMs - entry.missingSinceMs
      if (missingMs < this.#removeAfterMs || standings.get(entry) === 'needed') continue
      this.#entries.delete(entry.key)
      changes.push({ kind: 'leave', key: entry.key, missingMs })
    }
    return changes
  }

  #find(member: Member): Entry | undefined {
    const address = addressOf(member)
    const same = [...this.#entries.values()].filter((entry) => entry.address === address)
    return same.find(({ isFixed, name }) => isFixed || name === member.name) ?? same[0]
  }

  /** Names are unique: who comes with a taken one gets its address added. */
  #named(member: Member, listed: ReadonlySet<Entry>): Member {
    const isTaken = [...this.#entries.values()].some(
      (entry) => entry.name === member.name && (entry.isFixed || listed.has(entry)),
    )
    return isTaken ? { ...member, name: `${member.name}@${addressOf(member)}` } : member
  }

  #enter(place: FixedMember, member: Member | null, isFixed: boolean): Entry {
    const key = memberKey(place)
    const address = addressOf(place)
    const entry: Entry = { key, member, name: place.name, address, isFixed, missingSinceMs: null }
    this.#entries.set(key, entry)
    return entry
  }
}

function isSame(a: Member | null, b: Member): boolean {
  return (
    a !== null &&
    a.claim === b.claim &&
    a.isLeader === b.isLeader &&
    a.isBalanced === b.isBalanced &&
    a.zone === b.zone
  )
}
