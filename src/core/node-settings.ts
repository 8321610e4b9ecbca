import {
  factDifferences,
  type NodeTraits,
  ownDifferences,
  type RoleSettings,
  readRoleSettings,
  readTraits,
  settingDifferences,
  takesSetting,
} from '../catalog/node-traits.ts'
import type { SqlSession } from '../server/sql-session.ts'
import { nodeAt, type Snapshot } from '../topology/snapshot.ts'
import type { EventLog } from './event-log.ts'

export interface NodeSettingsOptions {
  /** A connection to the node that sets nothing itself. */
  readonly open: (nodeIndex: number) => Promise<SqlSession>
  readonly snapshot: () => Snapshot
  /** Connections to the node have other settings than they should have by now. */
  readonly onChange: (nodeIndex: number) => void
  /** `parametersApart` has changed. */
  readonly onApart: (names: ReadonlySet<string>) => void
  readonly log: EventLog
}

/** What is known of one node. */
interface KnownNode {
  /** `NodeView.configuredAt` when it was asked. */
  readonly configuredAt: string
  readonly traits: NodeTraits
  /** What sessions there are to be given. */
  levels: ReadonlyMap<string, string>
  /** Parameters of which sessions there may have another value than on the primary. */
  apart: readonly string[]
  /** The levels as they were told of. */
  told: string
}

/** How long after a failure a node is asked again, ms. */
const retryMs = 5_000

const nothing: readonly (readonly [string, string])[] = []

/**
 * ALTER SYSTEM and postgresql.conf are not replicated: without more, the same query would answer
 * `03.02.2024` from one node and `2024-02-03` from another. Every connection to a replica is given, at its
 * log-in, the primary's values where the two servers differ, unless ALTER ROLE or DATABASE, which
 * are replicated, say something of that parameter. As what came at log-in it is what RESET goes back to.
 */
export class NodeSettings {
  readonly #options: NodeSettingsOptions
  readonly #nodes = new Map<number, KnownNode>()
  /** The last question to each node that is being asked now. */
  readonly #queues = new Map<number, Promise<boolean>>()
  /** Which of their configurations nodes were asked for last. */
  readonly #asked = new Map<number, { readonly configuredAt: string }>()
  /** Nodes whose last question failed, and was told of. */
  readonly #failed = new Set<number>()
  #roles: readonly RoleSettings[] = []
  #superusers: ReadonlySet<string> = new Set()
  #primary: number | null = null
  #isStopped = false

  constructor(options: NodeSettingsOptions) {
    this.#options = options
  }

  /** After every probe: asks nodes that have read their configuration anew, and new ones. */
  follow({ nodes, primary }: Snapshot): void {
    for (const { index, configuredAt, health, role } of nodes) {
      if (health !== 'up' || role === 'unknown' || configuredAt === '') continue
      const isKnown = this.#nodes.get(index)?.configuredAt === configuredAt
      if (!isKnown && this.#asked.get(index)?.configuredAt !== configuredAt) {
        this.#read(index, configuredAt)
      }
    }
    for (const index of this.#nodes.keys()) {
      if (!nodes.some((node) => node.index === index)) this.#nodes.delete(index)
    }
    const elected = primary?.index ?? null
    if (elected === null || elected === this.#primary) return
    this.#primary = elected
    this.noteDefaults()
    this.#levelAll()
  }

  /** ALTER ROLE or DATABASE … SET, by whomever. */
  noteDefaults(): void {
    if (this.#primary !== null) this.#queue(this.#primary, (session) => this.#readRoles(session))
  }

  /** Resolves when what is being asked now is known, whatever came of it. */
  async ready(nodeIndex: number): Promise<void> {
    for (;;) {
      const ofPrimary = this.#primary === null ? undefined : this.#queues.get(this.#primary)
      const asked = ofPrimary ?? this.#queues.get(nodeIndex)
      if (asked === undefined) return
      await asked
    }
  }

  /** What a session of this role in this database is to be given at its log-in there. */
  forLogin(
    nodeIndex: number,
    user: string,
    database: string,
  ): readonly (readonly [string, string])[] {
    const known = this.#nodes.get(nodeIndex)
    if (known === undefined || known.levels.size === 0) return nothing
    const isSuperuser = this.#superusers.has(user)
    const own = this.#roles.filter(
      (one) =>
        (one.role === '' || one.role === user) &&
        (one.database === '' || one.database === database),
    )
    return [...known.levels].filter(
      ([name]) =>
        (isSuperuser || !known.traits.superuserOnly.has(name)) &&
        !own.some(({ names }) => names.has(name)),
    )
  }

  /** Parameters whose values only the primary can tell, as some replica has another one. */
  get parametersApart(): ReadonlySet<string> {
    return new Set([...this.#nodes.values()].flatMap(({ apart }) => apart))
  }

  #apart(): string {
    return [...this.parametersApart].sort().join(' ')
  }

  stop(): void {
    this.#isStopped = true
  }

  #read(index: number, configuredAt: string): void {
    const asked = { configuredAt }
    this.#asked.set(index, asked)
    this.#queue(index, async (session) => {
      const traits = await readTraits(session)
      const old = this.#nodes.get(index) ?? { levels: new Map(), apart: [], told: '' }
      const { levels, apart, told } = old
      this.#nodes.set(index, { configuredAt, traits, levels, apart, told })
      if (this.#options.snapshot().primary?.index === index) this.#levelAll()
      else await this.#level(session, index)
    }).then((isDone) => {
      if (isDone) return
      // The next probe but a few leads to the next attempt.
      setTimeout(() => {
        if (this.#asked.get(index) === asked) this.#asked.delete(index)
      }, retryMs).unref()
    })
  }

  async #readRoles(session: SqlSession): Promise<void> {
    const { roles, superusers } = await readRoleSettings(session)
    this.#roles = roles
    this.#superusers = superusers
  }

  /** Compares all nodes with the primary. */
  #levelAll(): void {
    for (const index of this.#nodes.keys()) {
      if (index !== this.#primary || (this.#nodes.get(index)?.levels.size ?? 0) > 0) {
        this.#queue(index, (session) => this.#level(session, index))
      }
    }
  }

  async #level(session: SqlSession, index: number): Promise<void> {
    const { snapshot, onChange } = this.#options
    const known = this.#nodes.get(index)
    const primary = snapshot().primary
    const model = primary === null ? undefined : this.#nodes.get(primary.index)
    if (known === undefined || model === undefined || primary === null) return
    const levels = new Map<string, string>()
    const stubborn: string[] = []
    const apart: string[] = []
    if (primary.index !== index) {
      apart.push(...ownDifferences(model.traits, known.traits))
      for (const [name, value] of settingDifferences(model.traits, known.traits)) {
        const isTaken = await takesSetting(session, name, value)
        if (isTaken) levels.set(name, value)
        else stubborn.push(`${name} can't be set to '${value}'`)
        if (!isTaken || known.traits.superuserOnly.has(name)) apart.push(name)
      }
    }
    const isNew = keyOf(levels) !== keyOf(known.levels)
    const areApart = this.#apart()
    known.levels = levels
    known.apart = apart
    if (this.#apart() !== areApart) this.#options.onApart(this.parametersApart)
    this.#tell(index, known, model, stubborn)
    if (isNew) onChange(index)
  }

  /** Once, and on change. */
  #tell(index: number, known: KnownNode, model: KnownNode, stubborn: readonly string[]): void {
    const { log, snapshot } = this.#options
    const node = nodeAt(snapshot(), index)?.id ?? String(index)
    const facts = known === model ? [] : factDifferences(model.traits, known.traits)
    const limited = [...known.levels.keys()].filter((name) => known.traits.superuserOnly.has(name))
    const left = [...stubborn, ...facts]
    const told = JSON.stringify([[...known.levels], left])
    if (told === known.told) return
    const wasTold = known.told !== ''
    known.told = told
    if (known.levels.size > 0) {
      const names = [...known.levels.keys()].join(', ')
      const except = limited.length === 0 ? '' : `; only superusers' get ${limited.join(', ')}`
      log.info(
        { event: 'settings_levelled', node, reason: 'configuration', names },
        `${node} is configured otherwise than the primary: its connections get the primary's ${names}${except}`,
      )
    }
    if (left.length > 0) {
      log.warn(
        { event: 'nodes_differ', node, reason: 'configuration', differences: left.join('; ') },
        `${node} may answer otherwise than the primary: ${left.join('; ')}`,
      )
    } else if (wasTold && known.levels.size === 0) {
      log.info(
        { event: 'settings_levelled', node, reason: 'configuration', names: '' },
        `${node} is configured as the primary`,
      )
    }
  }

  /** One question at a time to each node. Resolves to whether it was answered; never rejects. */
  #queue(index: number, work: (session: SqlSession) => Promise<void>): Promise<boolean> {
    const earlier = this.#queues.get(index) ?? Promise.resolve(true)
    const job = earlier
      .then(() => this.#ask(index, work))
      .finally(() => {
        if (this.#queues.get(index) === job) this.#queues.delete(index)
      })
    this.#queues.set(index, job)
    return job
  }

  async #ask(index: number, work: (session: SqlSession) => Promise<void>): Promise<boolean> {
    const { open, log, snapshot } = this.#options
    if (this.#isStopped) return false
    let session: SqlSession | null = null
    try {
      session = await open(index)
      await work(session)
      this.#failed.delete(index)
      return true
    } catch (error) {
      if (this.#isStopped || this.#failed.has(index)) return false
      this.#failed.add(index)
      const node = nodeAt(snapshot(), index)?.id ?? String(index)
      log.warn(
        { event: 'settings_failed', node, reason: 'configuration', error },
        `the settings of ${node} can't be read; its connections keep its own`,
      )
      return false
    } finally {
      session?.end()
    }
  }
}

function keyOf(levels: ReadonlyMap<string, string>): string {
  return JSON.stringify([...levels].sort())
}
