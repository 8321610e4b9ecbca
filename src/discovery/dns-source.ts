import type { RecordWithTtl, SrvRecord } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { isHost, type Member, type MemberList, type MemberSource } from './member.ts'

/** Which names stand for the cluster. */
export interface DnsOptions {
  readonly kind: 'dns'
  /** Name whose addresses are the nodes for reads; `_…` names are looked up as SRV records. */
  readonly read?: string
  /** The same for writes: whom it names is probed first. */
  readonly write?: string
  /** Port of nodes that come from addresses; SRV records have their own. */
  readonly port: number
  /** `address` or `address:port`; empty = those of the system. */
  readonly servers: readonly string[]
  /** `auto`: IPv4, and IPv6 where a name has no IPv4 address. */
  readonly family: 'auto' | 'ipv4' | 'ipv6' | 'both'
  /** How long the last answer for a name stands in for one that fails, ms. */
  readonly keepForMs: number
  /** For one question, ms. */
  readonly timeoutMs: number
}

/** The part of `Resolver` that is used; a test may bring its own. */
export interface Lookup {
  resolve4(name: string, options: { readonly ttl: true }): Promise<RecordWithTtl[]>
  resolve6(name: string, options: { readonly ttl: true }): Promise<RecordWithTtl[]>
  resolveSrv(name: string): Promise<SrvRecord[]>
  cancel(): void
}

type Role = 'read' | 'write'

interface Place {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly serverName: string
}

interface Answer {
  readonly places: readonly Place[]
  readonly ttlMs: number | null
}

interface Kept extends Answer {
  readonly atMs: number
}

/** Most records that are looked at, and most targets of SRV records that are looked up. */
const maxRecords = 64

/** Answers that say "there is nothing", which another kind of record may contradict. */
const nothing: ReadonlySet<unknown> = new Set(['ENODATA', 'ENOTFOUND'])

/** The nodes that names stand for, looked up anew each time. */
export class DnsSource implements MemberSource {
  readonly kind = 'dns'
  readonly #options: DnsOptions
  readonly #lookup: Lookup
  readonly #nowMs: () => number
  readonly #kept = new Map<Role, Kept>()

  constructor(options: DnsOptions, lookup?: Lookup, nowMs: () => number = () => performance.now()) {
    this.#options = options
    this.#nowMs = nowMs
    this.#lookup = lookup ?? resolverOf(options)
  }

  /** Rejects only as long as no name was ever found; later failures are the list's `complaint`. */
  async read(): Promise<MemberList> {
    const roles = (['read', 'write'] as const).filter((role) => this.#options[role] !== undefined)
    const complaints: string[] = []
    await Promise.all(
      roles.map(async (role) => {
        const name = this.#options[role] ?? ''
        try {
          this.#kept.set(role, { ...(await this.#resolve(name)), atMs: this.#nowMs() })
        } catch (error) {
          complaints.push(`${name}: ${reasonOf(error)}`)
        }
      }),
    )
    if (this.#kept.size === 0) throw new Error(complaints.join('; '))
    const fromMs = this.#nowMs() - this.#options.keepForMs
    const answers = roles.flatMap((role) => {
      const kept = this.#kept.get(role)
      return kept === undefined || kept.atMs < fromMs ? [] : [{ role, ...kept }]
    })
    const ttls = answers.flatMap(({ ttlMs }) => (ttlMs === null ? [] : [ttlMs]))
    return {
      members: merged(answers),
      isPaused: false,
      validMs: ttls.length === 0 ? null : Math.min(...ttls),
      complaint: complaints.length === 0 ? null : complaints.join('; '),
    }
  }

  close(): void {
    this.#lookup.cancel()
  }

  async #resolve(name: string): Promise<Answer> {
    if (!name.startsWith('_')) {
      const { port } = this.#options
      const { addresses, ttlMs } = await this.#addresses(name)
      const places = addresses.map((host) => ({ name: host, host, port, serverName: name }))
      return { places, ttlMs }
    }
    const records = (await this.#lookup.resolveSrv(name)).slice(0, maxRecords)
    const found = await Promise.all(
      records.map(async ({ name: target, port }) => {
        const { addresses, ttlMs } = await this.#addresses(target)
        const label = target.split('.')[0] ?? target
        const places = addresses.map((host) => ({ name: label, host, port, serverName: target }))
        return { places, ttlMs }
      }),
    )
    const ttls = found.flatMap(({ ttlMs }) => (ttlMs === null ? [] : [ttlMs]))
    return {
      places: found.flatMap(({ places }) => places),
      ttlMs: ttls.length === 0 ? null : Math.min(...ttls),
    }
  }

  async #addresses(name: string) {
    if (!isHost(name)) throw new Error('an answer names no host')
    const { family } = this.#options
    const ask = async (which: 4 | 6) => {
      const lookup = this.#lookup
      const withTtl = { ttl: true } as const
      const records = which === 4 ? lookup.resolve4(name, withTtl) : lookup.resolve6(name, withTtl)
      return (await records).slice(0, maxRecords)
    }
    const records =
      family === 'ipv4'
        ? await ask(4)
        : family === 'ipv6'
          ? await ask(6)
          : family === 'auto'
            ? await ask(4).catch((error: unknown) => (isNothing(error) ? ask(6) : raise(error)))
            : await both(ask(4), ask(6))
    if (records.length === 0) throw new Error('no address')
    return {
      // Servers rotate them; the order must not matter.
      addresses: [...new Set(records.map(({ address }) => address))].sort(),
      ttlMs: 1000 * Math.min(...records.map(({ ttl }) => ttl)),
    }
  }
}

function resolverOf({ timeoutMs, servers }: DnsOptions): Resolver {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 2 })
  if (servers.length > 0) resolver.setServers(servers)
  return resolver
}

async function both<T>(first: Promise<T[]>, second: Promise<T[]>): Promise<T[]> {
  const results = await Promise.allSettled([first, second])
  const found = results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
  const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  // Half an answer would make the other half's nodes leave.
  const trouble = failed.find((error) => !isNothing(error))
  if (trouble !== undefined || found.length === 0) raise(trouble ?? failed[0])
  return found
}

function isNothing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && nothing.has(error.code)
}

function raise(error: unknown): never {
  throw error
}

/** A node of both names is one member. */
function merged(answers: readonly (Answer & { readonly role: Role })[]): Member[] {
  const members = new Map<string, Member>()
  for (const { role, places } of answers) {
    for (const place of places) {
      const key = `${place.host} ${place.port}`
      const known = members.get(key)
      members.set(key, {
        ...(known ?? { ...place, isBalanced: true, zone: null }),
        claim: known === undefined ? role : `${known.claim}, ${role}`,
        isLeader: role === 'write' || known?.isLeader === true,
      })
    }
  }
  return [...members.values()]
}

const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'no such name',
  ENODATA: 'the name has no such records',
  ESERVFAIL: 'the DNS server failed',
  ETIMEOUT: 'no DNS server answered in time',
  ECONNREFUSED: 'no DNS server can be reached',
  EREFUSED: 'the DNS server refuses to answer',
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return reasons[code] ?? (error instanceof Error ? error.message : String(error))
}
