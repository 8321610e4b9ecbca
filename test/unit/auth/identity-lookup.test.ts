import { describe, expect, it, vi } from 'vitest'
import type { Identity, Wanted } from '../../../src/auth/identity.ts'
import { IdentityLookup } from '../../../src/auth/identity-lookup.ts'
import { md5Hash } from '../../../src/auth/md5.ts'
import { roleSecret } from '../../../src/auth/role-secret.ts'
import { PgSplitError } from '../../../src/errors.ts'

function identity(role: Partial<Identity['role']> = {}): Identity {
  return {
    role: {
      oid: 10,
      isSuperuser: false,
      canLogin: true,
      connectionLimit: -1,
      password: md5Hash('u', 'p'),
      isExpired: false,
      ...role,
    },
    database: null,
    digest: '',
    isCurrent: true,
    configuredAt: '',
    askedAtMs: 0,
  }
}

const place = () => ({ node: 'node a (10.0.0.1:5432)', user: 'm', database: 'postgres' })

function lookupOf(
  answer: (wanted: readonly Wanted[]) => Promise<readonly Identity[]>,
  maxWaiting = 2_000,
) {
  const clock = { ms: 0, version: 0 }
  const asked: string[][] = []
  const lookup = new IdentityLookup({
    place,
    query: (wanted) => {
      asked.push(wanted.map(({ role }) => role))
      return answer(wanted)
    },
    gapMs: 0,
    staleMs: 60_000,
    maxWaiting,
    version: () => clock.version,
    now: () => clock.ms,
  })
  const find = (role: string) => lookup.find({ role, database: 'shop' })
  return { clock, asked, find }
}

describe('IdentityLookup', () => {
  it('asks anew for who comes after a question has left, and once for all who wait', async () => {
    const answers: PromiseWithResolvers<void>[] = []
    const { asked, find } = lookupOf(async (wanted) => {
      const sent = Promise.withResolvers<void>()
      answers.push(sent)
      await sent.promise
      return wanted.map(() => identity())
    })
    const first = find('a')
    await vi.waitFor(() => expect(asked).toEqual([['a']]))
    const later = [find('a'), find('b'), find('a'), find('c')]
    expect(asked).toEqual([['a']])
    answers[0]?.resolve()
    await first
    await vi.waitFor(() => expect(asked).toEqual([['a'], ['a', 'b', 'c']]))
    answers[1]?.resolve()
    await Promise.all(later)
    const last = find('a')
    await vi.waitFor(() => expect(asked).toHaveLength(3))
    answers[2]?.resolve()
    await last
  })

  it('asks no more often than its gap allows, however many guess', async () => {
    vi.useFakeTimers()
    try {
      let questions = 0
      const lookup = new IdentityLookup({
        place,
        query: async (wanted) => {
          questions++
          return wanted.map(() => identity())
        },
        gapMs: 5,
      })
      for (let ms = 0; ms < 100; ms++) {
        for (let i = 0; i < 20; i++) void lookup.find({ role: `u${i}`, database: 'shop' })
        await vi.advanceTimersByTimeAsync(1)
      }
      expect(questions).toBeLessThanOrEqual(21)
    } finally {
      vi.useRealTimers()
    }
  })

  it('lives on what it knows while the cluster cannot be asked, for a while', async () => {
    let isUp = true
    const { clock, find } = lookupOf(async (wanted) => {
      if (!isUp) throw new Error('ECONNREFUSED')
      return wanted.map(() => identity())
    })
    await find('u')
    isUp = false
    clock.ms = 59_999
    expect(await find('u')).toEqual(identity())
    clock.ms = 60_000
    await expect(find('u')).rejects.toMatchObject({ sqlstate: '57P03' })
    await expect(find('other')).rejects.toMatchObject({ sqlstate: '57P03' })
  })

  it('knows nothing any more once roles have changed', async () => {
    let isUp = true
    const { clock, find } = lookupOf(async (wanted) => {
      if (!isUp) throw new Error('ECONNREFUSED')
      return wanted.map(() => identity())
    })
    await find('u')
    isUp = false
    clock.version++
    await expect(find('u')).rejects.toMatchObject({ sqlstate: '57P03' })
  })

  it('tells of a server that takes nobody now as it would itself, and asks it once for all', async () => {
    const full = new PgSplitError({ sqlstate: '53300', message: 'sorry, too many clients already' })
    const { asked, find } = lookupOf(() => Promise.reject(full))
    const said = {
      sqlstate: '53300',
      severity: 'FATAL',
      message: expect.stringContaining('no room'),
    }
    const both = await Promise.allSettled([find('a'), find('b')])
    for (const one of both) expect(one).toMatchObject({ status: 'rejected', reason: said })
    expect(asked).toEqual([['a', 'b']])
  })

  it('lets nobody suffer from a name for which the question fails', async () => {
    let isHeld = true
    const { find } = lookupOf(async (wanted) => {
      while (isHeld) await new Promise((resolve) => setTimeout(resolve, 1))
      if (wanted.some(({ role }) => role === 'evil')) {
        throw new PgSplitError({ sqlstate: '22P02', message: 'the function did not like it' })
      }
      return wanted.map(() => identity())
    })
    const first = find('first')
    const asked = [find('good'), find('evil'), find('other')]
    isHeld = false
    await first
    const settled = await Promise.allSettled(asked)
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })

  it('refuses more look-ups at a time than it may have, and gives up on a silent cluster', async () => {
    vi.useFakeTimers()
    try {
      const lookup = new IdentityLookup({
        query: () => new Promise(() => {}),
        maxWaiting: 1,
        place,
      })
      const find = (role: string) => lookup.find({ role, database: 'shop' })
      const first = expect(find('a')).rejects.toMatchObject({ sqlstate: '57P03' })
      await vi.advanceTimersByTimeAsync(1)
      const second = expect(find('b')).rejects.toMatchObject({ sqlstate: '57P03' })
      await expect(find('c')).rejects.toMatchObject({ sqlstate: '53300' })
      await vi.advanceTimersByTimeAsync(10_000)
      await Promise.all([first, second])
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('roleSecret', () => {
  it('gives none for roles that do not exist, have expired or have no password', () => {
    expect(roleSecret('u', identity())).toMatchObject({ secret: { kind: 'md5' }, why: null })
    expect(roleSecret('u', { ...identity(), role: null }).why).toContain('does not exist')
    for (const change of [{ isExpired: true }, { password: null }, { password: 'plain text' }]) {
      const { secret, why } = roleSecret('u', identity(change))
      expect(secret).toBeNull()
      expect(why).toContain('"u"')
    }
  })
})
