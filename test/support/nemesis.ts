import { setTimeout as sleep } from 'node:timers/promises'
import type { ServerCluster, ServerNode } from './cluster.ts'
import { oneOf, type Random } from './seeded-numbers.ts'
import type { TcpRelay } from './tcp-relay.ts'
import { waitFor } from './wait-for.ts'

export interface NemesisOptions {
  readonly cluster: ServerCluster
  /** By pgsplit instance and name of the node: what that instance reaches the node through. */
  readonly relays: readonly ReadonlyMap<string, TcpRelay>[]
  readonly random: Random
  /** Not these troubles. */
  readonly except?: readonly string[]
  /** Longest time that one trouble lasts, ms. */
  readonly mostMs: number
}

/**
 * Makes the trouble that a history is to survive, one after the other, and mends each. The order and
 * the victims come from the seed. A failover promotes the replica that has received most; with
 * synchronous replication it has all that was ever acknowledged.
 */
export class Nemesis {
  readonly #options: NemesisOptions
  /** What was done, with its time. */
  readonly log: string[] = []

  constructor(options: NemesisOptions) {
    this.#options = options
  }

  /** Every kind of trouble once. */
  async pass(isOver: () => boolean): Promise<void> {
    const { random, except = [] } = this.#options
    const left = Object.entries(this.#troubles).filter(([name]) => !except.includes(name))
    while (left.length > 0 && !isOver()) {
      const [entry] = left.splice(random(left.length), 1)
      if (entry === undefined) return
      const [name, trouble] = entry
      // Replicas that lag show what positions are good for; every second trouble finds them so.
      const delayMs = random(2) * (100 + random(300))
      this.log.push(`${Math.round(performance.now())} ${name}, replay ${delayMs} ms late`)
      await this.#delay(delayMs)
      await trouble()
      await this.#mend()
    }
  }

  readonly #troubles: Readonly<Record<string, () => Promise<void>>> = {
    'replay paused': async () => {
      const replica = this.#replica()
      await replica.pauseReplay()
      await this.#last()
      await replica.resumeReplay()
    },
    'replay delayed': async () => {
      await this.#delay(100 + this.#options.random(500))
      await this.#last()
    },
    'replica killed': async () => {
      const replica = this.#replica()
      await replica.kill()
      await this.#last()
      await replica.start()
    },
    'replica killed behind a silent network': async () => {
      const replica = this.#replica()
      const relays = this.#relaysOf(replica)
      for (const relay of relays) relay.silence()
      await replica.kill()
      await replica.start()
      // What was open before is dead, and nobody was told.
      for (const relay of relays) relay.heal()
      await this.#last()
      for (const relay of relays) relay.reset()
    },
    'replica frozen': async () => {
      const replica = this.#replica()
      await replica.freeze()
      await this.#last()
      await replica.thaw()
    },
    'replica without its primary': async () => {
      const replica = this.#replica()
      await replica.detach()
      await this.#last()
      await replica.follow(this.#cluster.primary)
    },
    'replica silent to one pgsplit': async () => this.#silence(this.#replica()),
    'primary silent to one pgsplit': async () => this.#silence(this.#cluster.primary),
    'all connections reset': async () => {
      for (const relay of this.#options.relays.flatMap((relays) => [...relays.values()])) {
        relay.reset()
      }
    },
    'primary frozen': async () => {
      const { primary } = this.#cluster
      await primary.freeze()
      await this.#last()
      await primary.thaw()
    },
    'primary killed and started again': async () => {
      await this.#cluster.primary.kill()
      await this.#last()
      await this.#cluster.primary.start()
    },
    'primary killed, replica promoted': async () => {
      const { primary } = this.#cluster
      await primary.kill()
      await this.#failover()
      await this.#cluster.rejoin(primary)
    },
    'primary frozen, replica promoted, primary thawed': async () => {
      const { primary } = this.#cluster
      await primary.freeze()
      await this.#failover()
      await this.#last()
      await primary.thaw()
      await this.#last()
      await primary.kill()
      await this.#cluster.rejoin(primary)
    },
    'primary cut off from its replicas, one promoted': async () => {
      const { primary, replicas } = this.#cluster
      // Commits wait for a replica from here on.
      await Promise.all(replicas.map((replica) => replica.detach()))
      await this.#failover()
      await this.#last()
      await primary.kill()
      await this.#cluster.rejoin(primary)
    },
    'two primaries, one pgsplit knows only the old one': async () => {
      const { primary, replicas } = this.#cluster
      await Promise.all(replicas.map((replica) => replica.detach()))
      const [relays] = this.#options.relays
      for (const { name } of replicas) relays?.get(name)?.silence()
      await this.#failover()
      await this.#last()
      for (const { name } of replicas) relays?.get(name)?.heal()
      await this.#last()
      for (const { name } of replicas) relays?.get(name)?.reset()
      await primary.kill()
      await this.#cluster.rejoin(primary)
    },
  }

  get #cluster(): ServerCluster {
    return this.#options.cluster
  }

  #replica(): ServerNode {
    return oneOf(this.#options.random, this.#cluster.replicas)
  }

  /** A trouble lasts. */
  async #last(): Promise<void> {
    const { random, mostMs } = this.#options
    await sleep(mostMs / 3 + random((mostMs * 2) / 3))
  }

  async #silence(node: ServerNode): Promise<void> {
    const relay = oneOf(this.#options.random, this.#relaysOf(node))
    relay.silence()
    await this.#last()
    relay.heal()
    await this.#last()
    relay.reset()
  }

  async #failover(): Promise<void> {
    const { replicas } = this.#cluster
    const received = await Promise.all(
      replicas.map(async (replica) => {
        const [row] = await replica.query(
          "SELECT (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::float8 AS received",
        )
        return Number(row?.received)
      }),
    )
    const best = replicas[received.indexOf(Math.max(...received))]
    if (best === undefined) throw new Error('there is no replica to promote')
    await this.#cluster.failover(best)
  }

  /** All nodes are back, and clients get on: the next trouble finds a whole cluster. */
  async #mend(): Promise<void> {
    for (const replica of this.#cluster.replicas) {
      await waitFor(`${replica.name} to answer`, () => replica.query('SELECT 1'), 30_000)
    }
    await this.#delay(0)
    await this.#cluster.catchUp()
    await this.#last()
  }

  async #delay(ms: number): Promise<void> {
    const settings = { recovery_min_apply_delay: `${ms}ms` }
    await Promise.all(this.#cluster.replicas.map((node) => node.configure(settings)))
  }

  #relaysOf(node: ServerNode): TcpRelay[] {
    return this.#options.relays.flatMap((relays) => relays.get(node.name) ?? [])
  }
}
