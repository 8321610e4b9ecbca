import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LoginLog } from '../../../src/cluster/login-log.ts'
import { createLogger } from '../../../src/log.ts'

let lines: { event: string; user: string; count: number; level: string }[] = []

function loginLog(): LoginLog {
  lines = []
  const target = { write: (line: string) => void lines.push(JSON.parse(line)) }
  return new LoginLog(createLogger({ level: 'info', format: 'json' }, target))
}

const failed = (user: string) => ({ user, address: '127.0.0.1', reason: '28P01' })

describe('the log of failed log-ins', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('says one line a second with a count, however many there are', () => {
    const log = loginLog()
    for (let ms = 0; ms < 5000; ms++) {
      log.note('login_refused', failed(`u${ms}`), 'password authentication failed')
      vi.advanceTimersByTime(1)
    }
    vi.advanceTimersByTime(10_000)
    expect(lines.length).toBeLessThanOrEqual(7)
    expect(lines.reduce((sum, { count }) => sum + count, 0)).toBe(5000)
    expect(lines[0]).toMatchObject({ event: 'login_refused', user: 'u0', count: 1, level: 'warn' })
    expect(lines.at(-1)).toMatchObject({ user: 'u4999' })
  })

  it('says a single one at once, and another one later as well', () => {
    const log = loginLog()
    log.note('login_failed', failed('a'), 'x')
    expect(lines).toHaveLength(1)
    vi.advanceTimersByTime(2000)
    log.note('login_failed', failed('b'), 'x')
    expect(lines.map(({ user, count }) => [user, count])).toEqual([
      ['a', 1],
      ['b', 1],
    ])
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(2000)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('lets no event hide another one', () => {
    const log = loginLog()
    log.note('login_refused', failed('a'), 'x')
    log.note('login_failed', failed('b'), 'x')
    expect(lines.map(({ event }) => event)).toEqual(['login_refused', 'login_failed'])
  })
})
