import type { ClusterConfig, DiscoveryConfig } from '../config/config.ts'
import { discoveredNode } from '../config/resolve-discovery.ts'
import { createSource } from '../discovery/create-source.ts'
import { Discovery } from '../discovery/discovery.ts'
import { addressOf, type Member, type MemberList, memberKey } from '../discovery/member.ts'
import { Roster, type RosterChange, type Standing } from '../discovery/roster.ts'
import type { Monitor } from '../topology/monitor.ts'
import { MAX_NODES } from '../topology/node.ts'
import type { EventLog } from './event-log.ts'
import { type Members, specOf } from './members.ts'

export interface MembershipOptions {
  readonly config: ClusterConfig
  readonly discovery: DiscoveryConfig
  readonly members: Members
  readonly monitor: Monitor
  readonly log: EventLog
}

/**
 * Lets nodes join and leave as they are discovered. What a source claims decides nothing: it says
 * whom to ask, and that it is worth asking now.
 */
export class Membership {
  readonly #options: MembershipOptions
  readonly #kind: string
  readonly #roster: Roster
  readonly #discovery: Discovery
  /** Index by roster key. */
  readonly #indexes = new Map<string, number>()
  readonly #offSnapshot: () => void
  #hasPrimary = false
  #isFull = false

  /** Throws when a file that the source needs can't be read. */
  constructor(options: MembershipOptions) {
    this.#options = options
    const { config, discovery, members, monitor, log } = options
    const source = createSource(discovery.source)
    this.#kind = source.kind
    const fixed = config.nodes.map(({ name, host, port }) => ({ name, host, port }))
    this.#roster = new Roster(fixed, discovery.removeAfterMs)
    for (const { index, node } of members.all) this.#indexes.set(memberKey(node), index)
    this.#discovery = new Discovery({
      source,
      intervalMs: discovery.intervalMs,
      isUrgent: () => monitor.snapshot.primary === null,
      onList: (list) => this.#take(list),
      onEvent: ({ kind, ...facts }) => {
        const isBad = kind === 'discovery-failed'
        log[isBad ? 'warn' : 'info']({ event: kind, ...facts }, facts.detail)
      },
    })
    this.#offSnapshot = monitor.onSnapshot(({ primary }) => {
      if (primary === null && this.#hasPrimary) this.#discovery.hurry()
      this.#hasPrimary = primary !== null
    })
  }

  /** Resolves after the first look, whatever came of it. */
  start(): Promise<void> {
    return this.#discovery.start()
  }

  async stop(): Promise<void> {
    this.#offSnapshot()
    await this.#discovery.stop()
  }

  #take(list: MemberList): void {
    const nowMs = performance.now()
    const changes = this.#roster.take(list, nowMs, (key) => this.#standing(key))
    for (const change of changes) this.#apply(change)
    // A claim that the topology doesn't share (yet) is worth a look each time.
    const { monitor } = this.#options
    for (const member of list.members) {
      const index = member.isLeader ? this.#indexAt(member) : undefined
      const isKnown = index === undefined || monitor.snapshot.primary?.index === index
      if (!isKnown) void monitor.probeNow(index)
    }
  }

  #apply(change: RosterChange): void {
    const { monitor, members } = this.#options
    switch (change.kind) {
      case 'join':
        this.#join(change.key, change.member, change.replaces)
        return
      case 'update': {
        const index = this.#indexes.get(change.key)
        const member = index === undefined ? undefined : members.at(index)
        if (index === undefined || member === undefined) return
        const { node } = member
        const isOfFile = node.role !== 'any'
        member.source = `${isOfFile ? 'config, ' : ''}${this.#kind}: ${change.member.claim}`
        // What the file says of its own nodes goes first.
        const { isBalanced, zone } = change.member
        const weight = isBalanced ? node.weight || 1 : 0
        monitor.respec(index, weight, isOfFile ? (node.zone ?? zone) : zone)
        void monitor.probeNow(index)
        return
      }
      case 'leave': {
        const index = this.#indexes.get(change.key)
        this.#indexes.delete(change.key)
        if (index === undefined) return
        const seconds = Math.round(change.missingMs / 1000)
        monitor.leave(index, `not listed by ${this.#kind} for ${seconds} s`)
        return
      }
      default:
        change satisfies never
    }
  }

  #join(key: string, found: Member, replaces: string | null): void {
    const { members, monitor, discovery, log } = this.#options
    const node = discoveredNode(found, discovery)
    const member = members.join(node, `${this.#kind}: ${found.claim}`)
    if (member === null) {
      this.#roster.forget(key)
      if (!this.#isFull) {
        const detail = `${found.name} can't join: a cluster has at most ${MAX_NODES} nodes`
        log.warn({ event: 'discovery-full', node: found.name, reason: 'limit', detail }, detail)
      }
      this.#isFull = true
      return
    }
    this.#isFull = false
    this.#indexes.set(key, member.index)
    const former = replaces === null ? undefined : this.#indexes.get(replaces)
    monitor.add(specOf(member), former ?? null)
  }

  #standing(key: string): Standing {
    const { members, monitor } = this.#options
    const index = this.#indexes.get(key)
    const member = index === undefined ? undefined : members.at(index)
    if (index === undefined || member === undefined || member.leavingSinceMs !== null) {
      this.#indexes.delete(key)
      return 'leaving'
    }
    return monitor.snapshot.primary?.index === index ? 'needed' : 'there'
  }

  #indexAt(member: Member): number | undefined {
    const address = addressOf(member)
    const found = this.#options.members.all.find(
      ({ node, leavingSinceMs }) => leavingSinceMs === null && addressOf(node) === address,
    )
    return found?.index
  }
}
