import { LRUCache } from 'lru-cache'
import { networkOf } from './network.ts'

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

/** How many addresses' worth of failures a user has over all of them. */
const userFactor = 3

interface Bucket {
  failures: number
  atMs: number
}

/**
 * Counts failed log-ins per address (an IPv6 address stands for its /64) in leaky buckets, and per
 * user over all addresses, so that many addresses together can't guess one user's password faster.
 *
 * A user that has logged in from an address has a bucket of its own there, which counts alone: one
 * misconfigured client behind a NAT or a container host doesn't lock out its neighbours, nor does
 * who guesses elsewhere lock out those who are known.
 */
export class AuthRateLimit {
  #maxFailures: number
  #leakPerMs: number
  #now: () => number
  #buckets: LRUCache<string, Bucket>
  /** By user: failures from addresses where that user has never logged in. */
  #users: LRUCache<string, Bucket>

  constructor(options: AuthRateLimitOptions = {}) {
    const { maxFailures = 30, windowMs = 60_000, maxAddresses = 10_000 } = options
    this.#maxFailures = maxFailures
    this.#leakPerMs = maxFailures / Math.max(1, windowMs)
    this.#now = options.now ?? (() => performance.now())
    this.#buckets = new LRUCache({ max: Math.max(1, maxAddresses) })
    this.#users = new LRUCache({ max: Math.max(1, maxAddresses) })
  }

  /** Milliseconds until a failure of this address (and user) is forgiven; 0: it may try. */
  waitMs(address: string, user: string): number {
    if (this.#maxFailures <= 0) return 0
    const known = this.#buckets.get(pair(address, user))
    if (known !== undefined) return this.#waitMs(known, 1)
    return Math.max(
      this.#waitMs(this.#buckets.get(networkOf(address)), 1),
      this.#waitMs(this.#users.get(user), userFactor),
    )
  }

  /** A bucket that holds `factor` times as much leaks as much faster. */
  #waitMs(bucket: Bucket | undefined, factor: number): number {
    if (bucket === undefined) return 0
    this.#leak(bucket, factor)
    const excess = bucket.failures - (this.#maxFailures * factor - 1)
    return excess <= 0 ? 0 : Math.ceil(excess / (this.#leakPerMs * factor))
  }

  recordFailure(address: string, user: string): void {
    if (this.#maxFailures <= 0) return
    const known = this.#buckets.get(pair(address, user))
    if (known !== undefined) {
      this.#add(known, 1)
      return
    }
    this.#count(this.#buckets, networkOf(address), 1)
    this.#count(this.#users, user, userFactor)
  }

  #count(buckets: LRUCache<string, Bucket>, key: string, factor: number): void {
    const bucket = buckets.get(key)
    if (bucket === undefined) buckets.set(key, { failures: 1, atMs: this.#now() })
    else this.#add(bucket, factor)
  }

  #add(bucket: Bucket, factor: number): void {
    this.#leak(bucket, factor)
    bucket.failures = Math.min(this.#maxFailures * factor, bucket.failures + 1)
  }

  recordSuccess(address: string, user: string): void {
    if (this.#maxFailures <= 0) return
    this.#buckets.set(pair(address, user), { failures: 0, atMs: this.#now() })
  }

  #leak(bucket: Bucket, factor: number): void {
    const now = this.#now()
    const leaked = (now - bucket.atMs) * this.#leakPerMs * factor
    bucket.failures = Math.max(0, bucket.failures - leaked)
    bucket.atMs = now
  }
}

function pair(address: string, user: string): string {
  return `${networkOf(address)} ${user}`
}
