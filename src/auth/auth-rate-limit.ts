import { LRUCache } from 'lru-cache'

export interface AuthRateLimitOptions {
  /** Failures that an address may make in a row; 0 switches the limit off. Default 30. */
  readonly maxFailures?: number
  /** Time in which that many failures are forgiven again, one by one. Default 60,000 ms. */
  readonly windowMs?: number
  /** Addresses remembered; the longest silent is forgotten first. Default 10,000. */
  readonly maxAddresses?: number
  /** Monotonic milliseconds. */
  readonly now?: () => number
}

interface Bucket {
  failures: number
  atMs: number
}

/**
 * Counts failed log-ins per address (an IPv6 address stands for its /64) in leaky buckets.
 *
 * A user that has logged in from an address has a bucket of its own there, so that one
 * misconfigured client behind a NAT or a container host doesn't lock out its neighbours.
 */
export class AuthRateLimit {
  #maxFailures: number
  #leakPerMs: number
  #now: () => number
  #buckets: LRUCache<string, Bucket>

  constructor(options: AuthRateLimitOptions = {}) {
    const { maxFailures = 30, windowMs = 60_000, maxAddresses = 10_000 } = options
    this.#maxFailures = maxFailures
    this.#leakPerMs = maxFailures / Math.max(1, windowMs)
    this.#now = options.now ?? (() => performance.now())
    this.#buckets = new LRUCache({ max: Math.max(1, maxAddresses) })
  }

  /** Milliseconds until a failure of this address (and user) is forgiven; 0: it may try. */
  waitMs(address: string, user: string): number {
    if (this.#maxFailures <= 0) return 0
    const bucket = this.#bucket(address, user)
    if (bucket === undefined) return 0
    this.#leak(bucket)
    const excess = bucket.failures - (this.#maxFailures - 1)
    return excess <= 0 ? 0 : Math.ceil(excess / this.#leakPerMs)
  }

  recordFailure(address: string, user: string): void {
    if (this.#maxFailures <= 0) return
    const known = this.#bucket(address, user)
    if (known === undefined) {
      this.#buckets.set(network(address), { failures: 1, atMs: this.#now() })
      return
    }
    this.#leak(known)
    known.failures = Math.min(this.#maxFailures, known.failures + 1)
  }

  recordSuccess(address: string, user: string): void {
    if (this.#maxFailures <= 0) return
    this.#buckets.set(pair(address, user), { failures: 0, atMs: this.#now() })
  }

  #bucket(address: string, user: string): Bucket | undefined {
    return this.#buckets.get(pair(address, user)) ?? this.#buckets.get(network(address))
  }

  #leak(bucket: Bucket): void {
    const now = this.#now()
    bucket.failures = Math.max(0, bucket.failures - (now - bucket.atMs) * this.#leakPerMs)
    bucket.atMs = now
  }
}

function pair(address: string, user: string): string {
  return `${network(address)} ${user}`
}

/** Who owns one IPv6 address owns its /64; `::ffff:a.b.c.d` is IPv4. */
function network(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped !== null) return mapped[1] ?? address
  if (!address.includes(':')) return address
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const behind = tail === '' ? 0 : tail.split(':').length
    while (groups.length + behind < 8) groups.push('0')
    if (tail !== '') groups.push(...tail.split(':'))
  }
  return `${groups.slice(0, 4).join(':')}::/64`
}
