import { describe, expect, it } from 'vitest'
import { SERVER } from '../../../src/catalog/catalog-queries.ts'
import type { Row } from '../../../src/catalog/catalog-rows.ts'
import { CatalogWatch, type CatalogWatchOptions } from '../../../src/catalog/catalog-watch.ts'
import type { CatalogSets } from '../../../src/sql/catalog-sets.ts'

/** A primary whose catalog is one function; timers fire by hand. */
class FakePrimary {
  state = 'one'
  defaults = 'none'
  reloaded = 'at noon'
  volatility = 's'
  standby = 'false'
  loads = 0
  probes = 0
  opened = 0
  ended = 0
  /** Set to let queries hang. */
  hang = false
  hangsLoad = false
  refuse = false
  onLoad: (() => void) | null = null

  readonly open = async () => {
    this.opened++
    if (this.refuse) throw new Error('connection refused')
    return {
      query: (sql: string) => this.#query(sql),
      end: () => {
        this.ended++
      },
    }
  }

  async #query(sql: string): Promise<{ rows: Row[] }> {
    if (this.hang) return new Promise(() => undefined)
    if (sql.includes('pg_conf_load_time')) {
      this.probes++
      const { standby, state, defaults, reloaded } = this
      const snapshot = `${state} ${defaults}`
      return { rows: [{ standby, state, defaults, reloaded, snapshot }] }
    }
    if (sql === SERVER) return { rows: [{ version: '150000', standby: this.standby }] }
    if (this.hangsLoad) return new Promise(() => undefined)
    if (!sql.includes('FROM pg_proc p')) return { rows: [] }
    this.loads++
    const { volatility } = this
    this.onLoad?.()
    const f = { oid: '20000', name: 'f', volatility, kind: 'f', language: 'c', args: '0' }
    return { rows: [f, { ...f, oid: '20001', name: 'g', tree: 'funcid 20000' }] }
  }
}

class FakeTimers {
  readonly #pending = new Map<number, { callback: () => void; ms: number }>()
  #next = 1

  setTimeout(callback: () => void, ms: number): unknown {
    this.#pending.set(this.#next, { callback, ms })
    return this.#next++
  }

  clearTimeout(handle: unknown): void {
    this.#pending.delete(handle as number)
  }

  /** The pauses that are running, ms. */
  get pauses(): number[] {
    return [...this.#pending.values()].map(({ ms }) => ms)
  }

  fire(ms: number): void {
    for (const [handle, timer] of this.#pending) {
      if (timer.ms !== ms) continue
      this.#pending.delete(handle)
      timer.callback()
    }
  }
}

const POLL = 1000
const TIMEOUT = 15_000
const SETTLE = 20
const BUSY_POLL = 100
const GRACE = 50

function watching(more: Partial<CatalogWatchOptions> = {}) {
  const primary = new FakePrimary()
  const timers = new FakeTimers()
  const given: (CatalogSets | null)[] = []
  const doubts: (ReadonlySet<string> | null)[] = []
  const errors: string[] = []
  const watch = new CatalogWatch({
    open: primary.open,
    onCatalog: (sets, doubted) => {
      given.push(sets)
      doubts.push(doubted)
    },
    onError: (error) => errors.push(error.message),
    timers,
    nowMs: () => 0,
    ...more,
  })
  return { primary, timers, given, doubts, errors, watch }
}

/** Lets everything run that waits for no timer. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('the catalog watch', () => {
  it('loads once, polls, and tells only of changes', async () => {
    const { primary, timers, given, watch } = watching()
    watch.start()
    await settled()
    expect(given).toHaveLength(1)
    expect(given[0]?.functions.has('f')).toBe(true)
    timers.fire(POLL)
    await settled()
    // a load is between two probes
    expect([primary.probes, primary.loads, given.length]).toEqual([3, 1, 1])
    primary.state = 'two'
    timers.fire(POLL)
    await settled()
    // Something changed that doesn't matter.
    expect([primary.loads, given.length]).toEqual([2, 1])
    primary.state = 'three'
    primary.volatility = 'v'
    timers.fire(POLL)
    await settled()
    expect(given).toHaveLength(2)
    expect(given[1]?.unsafeFunctions.has('f')).toBe(true)
    await watch.stop()
    expect(primary.ended).toBe(1)
  })

  it('gives up a connection that hangs when the primary changes, and asks the new one', async () => {
    const { primary, timers, given, errors, watch } = watching()
    watch.start()
    await settled()
    primary.hang = true
    timers.fire(POLL)
    await settled()
    primary.hang = false
    primary.volatility = 'v'
    primary.state = 'two'
    watch.leave()
    await settled()
    expect([primary.opened, primary.ended]).toEqual([1, 1])
    timers.fire(POLL)
    await settled()
    expect([primary.opened, given.length, errors]).toEqual([2, 2, []])
    await watch.stop()
  })

  it('does not use a connection that was being opened when the primary changed', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const old = new FakePrimary()
    const opens = [() => promise.then(old.open)]
    const { primary, timers, errors, watch } = watching({
      open: () => (opens.shift() ?? primary.open)(),
    })
    watch.start()
    await settled()
    watch.leave()
    resolve()
    await settled()
    timers.fire(POLL)
    await settled()
    expect([old.opened, old.ended, old.probes]).toEqual([1, 1, 0])
    expect([primary.opened, primary.loads, errors]).toEqual([1, 1, []])
    await watch.stop()
  })

  it('tells when the defaults of sessions change, and not when it has to connect anew', async () => {
    let changes = 0
    const { primary, timers, watch } = watching({ onDefaults: () => changes++ })
    const poll = async (): Promise<void> => {
      timers.fire(POLL)
      await settled()
    }
    watch.start()
    await settled()
    expect(changes).toBe(0)
    primary.defaults = 'one'
    await poll()
    await poll()
    expect(changes).toBe(1)
    primary.reloaded = 'at one'
    await poll()
    await poll()
    expect(changes).toBe(2)
    // Another server process has read its configuration at another time.
    primary.standby = 'true'
    await poll()
    primary.standby = 'false'
    primary.reloaded = 'at two'
    await poll()
    expect([primary.opened, changes]).toEqual([2, 2])
    primary.defaults = 'two'
    await poll()
    expect(changes).toBe(3)
    await watch.stop()
  })

  it('withdraws the sets at once when DDL passed, and gives them again when read anew', async () => {
    const { primary, timers, given, watch } = watching()
    watch.start()
    await settled()
    primary.state = 'two'
    primary.volatility = 'v'
    const { probes } = primary
    watch.invalidate()
    expect(given.at(-1)).toBeNull()
    await settled()
    // It may still be running: what is told again meanwhile is read with it.
    watch.invalidate()
    expect(primary.probes).toBe(probes)
    timers.fire(SETTLE)
    await settled()
    expect(given.at(-1)?.unsafeFunctions.has('f')).toBe(true)
    expect(timers.pauses).toEqual([POLL])
    // Without a change the old sets come back after a probe.
    const { loads } = primary
    watch.invalidate()
    watch.invalidate()
    expect(given.at(-1)).toBeNull()
    await settled()
    timers.fire(SETTLE)
    await settled()
    expect(given.at(-1)?.unsafeFunctions.has('f')).toBe(true)
    expect(primary.loads).toBe(loads)
    await watch.stop()
  })

  it('rests as long as a reading took while DDL goes on, which in the end is done at once', async () => {
    let now = 0
    const { primary, timers, given, watch } = watching({ nowMs: () => now })
    primary.onLoad = () => {
      now += 300
      primary.state = `at ${now}`
      watch.invalidate()
    }
    watch.start()
    await settled()
    expect([primary.loads, timers.pauses]).toEqual([4, [1200]])
    watch.invalidate()
    expect(timers.pauses).toEqual([1200])
    primary.onLoad = null
    timers.fire(1200)
    await settled()
    expect(primary.loads).toBe(5)
    expect(given.at(-1)).not.toBeNull()
    await watch.stop()
  })

  it('takes away only what DDL touches, and what depends on that', async () => {
    const { primary, timers, given, doubts, watch } = watching()
    watch.start()
    await settled()
    watch.invalidate(['f'])
    expect(given.at(-1)).not.toBeNull()
    expect(doubts.at(-1)).toEqual(new Set(['f', 'g']))
    // DDL that touches nothing takes nothing away, and is no surprise.
    watch.invalidate([])
    primary.state = 'two'
    await settled()
    timers.fire(SETTLE)
    await settled()
    expect([given.includes(null), doubts.at(-1)]).toEqual([false, null])
    watch.invalidate(['='])
    expect(given.at(-1)).toBeNull()
    await watch.stop()
  })

  it('keeps in doubt what was touched while the catalog was read', async () => {
    const { primary, timers, given, doubts, watch } = watching()
    watch.start()
    await settled()
    primary.state = 'two'
    primary.onLoad = () => {
      primary.onLoad = null
      watch.invalidate(['h'])
    }
    watch.invalidate(['f'])
    await settled()
    timers.fire(SETTLE)
    await settled()
    expect([given.includes(null), doubts.at(-1)]).toEqual([false, new Set(['h'])])
    timers.fire(SETTLE)
    await settled()
    expect(doubts.at(-1)).toBeNull()
    await watch.stop()
  })

  it('looks often while reads run, and withdraws all when another change takes long to be read', async () => {
    let uses = 0
    const { primary, timers, given, watch } = watching({ uses: () => uses })
    watch.start()
    await settled()
    const { probes } = primary
    const step = async (): Promise<void> => {
      timers.fire(BUSY_POLL)
      await settled()
    }
    for (let i = 0; i < 9; i++) await step()
    expect(primary.probes).toBe(probes)
    await step()
    expect(primary.probes).toBe(probes + 1)
    uses = 1
    await step()
    expect(primary.probes).toBe(probes + 2)
    // What columns alone would show is left to the next look that isn't one of these.
    uses = 2
    primary.state = 'two'
    primary.hangsLoad = true
    timers.fire(BUSY_POLL)
    await settled()
    expect(given.at(-1)).not.toBeNull()
    timers.fire(GRACE)
    expect(given.at(-1)).toBeNull()
    await watch.stop()
  })

  it('does not give sets whose loading began before the last DDL', async () => {
    const { primary, timers, given, watch } = watching()
    primary.onLoad = () => {
      // DDL that this load's snapshot doesn't see.
      primary.onLoad = null
      primary.state = 'two'
      primary.volatility = 'v'
      watch.invalidate()
    }
    watch.start()
    await settled()
    expect(given).toEqual([])
    timers.fire(SETTLE)
    await settled()
    expect(given).toHaveLength(1)
    expect(given[0]?.unsafeFunctions.has('f')).toBe(true)
    await watch.stop()
  })

  it('reconnects after an error, with growing pauses, and keeps what it has given', async () => {
    const { primary, timers, given, errors, watch } = watching()
    watch.start()
    await settled()
    primary.hang = true
    timers.fire(POLL)
    await settled()
    timers.fire(TIMEOUT)
    await settled()
    expect(errors).toEqual([`the change probe did not come within ${TIMEOUT} ms`])
    expect(primary.ended).toBe(1)
    primary.refuse = true
    timers.fire(POLL)
    await settled()
    expect(errors.at(-1)).toBe('connection refused')
    expect(timers.pauses).toEqual([2 * POLL])
    timers.fire(2 * POLL)
    await settled()
    expect(timers.pauses).toEqual([4 * POLL])
    primary.refuse = false
    primary.hang = false
    timers.fire(4 * POLL)
    await settled()
    expect(given).toHaveLength(1)
    expect(timers.pauses).toEqual([POLL])
    await watch.stop()
  })

  it('believes no standby', async () => {
    const { primary, given, errors, watch } = watching()
    primary.standby = 'true'
    watch.start()
    await settled()
    expect(given).toEqual([])
    expect(errors).toEqual(['the catalog was asked of a standby'])
    await watch.stop()
  })

  it('takes what a standby has in the place of a primary, and its own word for no DDL', async () => {
    let isStandby = false
    const { primary, timers, given, doubts, watch } = watching({
      open: async () => ({ ...(await primary.open()), isStandby }),
    })
    watch.start()
    await settled()
    expect([...(given.at(-1)?.functions.keys() ?? [])]).toContain('f')
    // DDL has passed through, and then the primary was gone: the standby may lack it.
    watch.invalidate(['f'])
    isStandby = true
    primary.standby = 'true'
    watch.renew()
    await settled()
    timers.fire(SETTLE)
    await settled()
    expect(doubts.at(-1)?.has('f')).toBe(true)
    // The new primary has it, or never will.
    isStandby = false
    primary.standby = 'false'
    watch.renew()
    await settled()
    expect(doubts.at(-1)).toBeNull()
    await watch.stop()
  })

  it('looks at another server at once when it is renewed, however long it was to wait', async () => {
    const { primary, timers, given, watch } = watching()
    primary.refuse = true
    watch.start()
    await settled()
    for (const ms of [POLL, 2 * POLL, 4 * POLL, 8 * POLL]) {
      timers.fire(ms)
      await settled()
    }
    expect(given).toEqual([])
    primary.refuse = false
    watch.renew()
    await settled()
    expect(given).toHaveLength(1)
    await watch.stop()
  })

  it('proves nothing while nobody needs it, and again when it is started anew', async () => {
    const { primary, given, watch } = watching()
    watch.start()
    await settled()
    watch.withdraw()
    await watch.stop()
    expect(given.at(-1)).toBeNull()
    watch.start()
    await settled()
    expect(given.at(-1)).not.toBeNull()
    expect(primary.loads).toBe(1)
    await watch.stop()
  })

  it('calls nobody after stop, also in the middle of a load', async () => {
    const { primary, given, errors, watch } = watching()
    primary.onLoad = () => void watch.stop()
    watch.start()
    await settled()
    expect(given).toEqual([])
    expect(errors).toEqual([])
    expect(primary.ended).toBe(1)
  })
})
