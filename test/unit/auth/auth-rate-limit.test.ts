import { describe, expect, it } from 'vitest'
import { AuthRateLimit } from '../../../src/auth/auth-rate-limit.ts'

function limitAt(start = 0) {
  const clock = { ms: start }
  const limit = new AuthRateLimit({
    maxFailures: 3,
    windowMs: 3_000,
    maxAddresses: 10,
    now: () => clock.ms,
  })
  const fail = (address: string, user: string, times: number) => {
    for (let i = 0; i < times; i++) limit.recordFailure(address, user)
  }
  return { clock, limit, fail }
}

describe('AuthRateLimit', () => {
  it('stops an address after its failures and forgives them one by one', () => {
    const { clock, limit, fail } = limitAt()
    fail('10.0.0.1', 'a', 2)
    expect(limit.waitMs('10.0.0.1', 'b')).toBe(0)
    fail('10.0.0.1', 'b', 1)
    expect(limit.waitMs('10.0.0.1', 'c')).toBe(1_000)
    expect(limit.waitMs('10.0.0.2', 'c')).toBe(0)
    clock.ms = 1_000
    expect(limit.waitMs('10.0.0.1', 'c')).toBe(0)
    fail('10.0.0.1', 'c', 100)
    expect(limit.waitMs('10.0.0.1', 'c')).toBe(1_000)
  })

  it('leaves a user that has logged in from the address a bucket of its own', () => {
    const { limit, fail } = limitAt()
    limit.recordSuccess('10.0.0.1', 'good')
    fail('10.0.0.1', 'bad', 5)
    expect(limit.waitMs('10.0.0.1', 'bad')).toBeGreaterThan(0)
    expect(limit.waitMs('10.0.0.1', 'good')).toBe(0)
    fail('10.0.0.1', 'good', 5)
    expect(limit.waitMs('10.0.0.1', 'good')).toBeGreaterThan(0)
  })

  it('takes an IPv6 /64 for one address and a mapped IPv4 address for itself', () => {
    const { limit, fail } = limitAt()
    fail('2001:db8:1:2:3:4:5:6', 'a', 3)
    expect(limit.waitMs('2001:db8:1:2::1', 'a')).toBeGreaterThan(0)
    expect(limit.waitMs('2001:db8:1:3::1', 'a')).toBe(0)
    fail('::ffff:10.0.0.9', 'a', 3)
    expect(limit.waitMs('10.0.0.9', 'a')).toBeGreaterThan(0)
    expect(limit.waitMs('::1', 'a')).toBe(0)
  })

  it('remembers no more addresses than it may', () => {
    const { limit, fail } = limitAt()
    fail('first', 'a', 3)
    for (let i = 0; i < 10; i++) fail(`10.0.1.${i}`, `u${i}`, 1)
    expect(limit.waitMs('first', 'a')).toBe(0)
  })

  it('limits the guesses at one user over all addresses, but not who is known', () => {
    const { clock, limit } = limitAt()
    limit.recordSuccess('10.9.9.9', 'victim')
    let judged = 0
    for (let i = 0; i < 300; i++) {
      const address = `10.1.${i % 250}.1`
      if (limit.waitMs(address, 'victim') > 0) continue
      judged++
      limit.recordFailure(address, 'victim')
    }
    expect(judged).toBeLessThanOrEqual(9)
    expect(limit.waitMs('10.9.9.9', 'victim')).toBe(0)
    expect(limit.waitMs('10.2.2.2', 'victim')).toBeGreaterThan(0)
    expect(limit.waitMs('10.2.2.2', 'other')).toBe(0)
    clock.ms = 3_000
    expect(limit.waitMs('10.2.2.2', 'victim')).toBe(0)
  })

  it('does nothing when it is switched off', () => {
    const limit = new AuthRateLimit({ maxFailures: 0 })
    for (let i = 0; i < 100; i++) limit.recordFailure('x', 'a')
    expect(limit.waitMs('x', 'a')).toBe(0)
  })
})
