import { describe, expect, it, vi } from 'vitest'
import { md5Hash } from '../../../src/auth/md5.ts'
import { type RoleRecord, VerifierLookup } from '../../../src/auth/verifier-lookup.ts'

const role: RoleRecord = { password: md5Hash('u', 'p'), canLogin: true, isExpired: false }

function lookupOf(query: (user: string) => Promise<RoleRecord | null>, maxInFlight = 256) {
  const clock = { ms: 0 }
  const asked = vi.fn(query)
  const lookup = new VerifierLookup({
    query: asked,
    ttlMs: 5_000,
    staleMs: 60_000,
    maxInFlight,
    now: () => clock.ms,
  })
  return { clock, asked, lookup }
}

describe('VerifierLookup', () => {
  it('asks once for simultaneous look-ups and while the answer holds', async () => {
    const { clock, asked, lookup } = lookupOf(async () => role)
    const both = await Promise.all([lookup.find('u'), lookup.find('u')])
    expect(both.map((secret) => secret?.kind)).toEqual(['md5', 'md5'])
    clock.ms = 4_999
    await lookup.find('u')
    expect(asked).toHaveBeenCalledTimes(1)
    clock.ms = 5_000
    await lookup.find('u')
    expect(asked).toHaveBeenCalledTimes(2)
  })

  it('keeps missing roles by the same rules as found ones', async () => {
    for (const answer of [role, null]) {
      const { clock, asked, lookup } = lookupOf(async () => answer)
      await lookup.find('u')
      clock.ms = 4_999
      await lookup.find('u')
      expect(asked).toHaveBeenCalledTimes(1)
      lookup.distrust('u')
      await lookup.find('u')
      expect(asked).toHaveBeenCalledTimes(2)
      lookup.distrust('u')
      clock.ms += 999
      await lookup.find('u')
      expect(asked).toHaveBeenCalledTimes(2)
    }
  })

  it('gives no secret for roles that may not log in, have expired or have no password', async () => {
    for (const change of [
      { canLogin: false },
      { isExpired: true },
      { password: null },
      { password: 'plain text' },
    ]) {
      expect(await lookupOf(async () => ({ ...role, ...change })).lookup.find('u')).toBeNull()
    }
  })

  it('lives on what it knows while the cluster cannot be asked, for a while', async () => {
    let isUp = true
    const { clock, lookup } = lookupOf(async () => {
      if (!isUp) throw new Error('ECONNREFUSED')
      return role
    })
    await lookup.find('u')
    isUp = false
    clock.ms = 59_999
    expect((await lookup.find('u'))?.kind).toBe('md5')
    clock.ms = 60_000
    await expect(lookup.find('u')).rejects.toMatchObject({ sqlstate: '57P03' })
    await expect(lookup.find('other')).rejects.toMatchObject({ sqlstate: '57P03' })
  })

  it('refuses more look-ups at a time than it may have, and gives up on a silent cluster', async () => {
    vi.useFakeTimers()
    try {
      const { lookup } = lookupOf(() => new Promise(() => {}), 2)
      const first = expect(lookup.find('a')).rejects.toMatchObject({ sqlstate: '57P03' })
      const second = expect(lookup.find('b')).rejects.toMatchObject({ sqlstate: '57P03' })
      await expect(lookup.find('c')).rejects.toMatchObject({ sqlstate: '53300' })
      await vi.advanceTimersByTimeAsync(5_000)
      await Promise.all([first, second])
    } finally {
      vi.useRealTimers()
    }
  })
})
