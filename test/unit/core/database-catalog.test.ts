import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SERVER } from '../../../src/catalog/catalog-queries.ts'
import { DatabaseCatalog } from '../../../src/core/database-catalog.ts'

/** A primary that answers; counts its connections, and how often the catalog was read. */
class Primary {
  open = 0
  loads = 0
  dials = 0
  refusal: string | null = null

  readonly dial = async () => {
    this.dials++
    if (this.refusal !== null) throw new Error(this.refusal)
    this.open++
    return {
      query: async (sql: string) => {
        if (sql.includes('pg_conf_load_time')) return { rows: [{ standby: 'false', state: 'one' }] }
        if (sql === SERVER) return { rows: [{ version: '150000', standby: 'false' }] }
        if (sql.includes('FROM pg_proc p')) this.loads++
        return { rows: [] }
      },
      end: () => {
        this.open--
      },
    }
  }
}

let primary: Primary
let warnings: string[]
beforeEach(() => {
  vi.useFakeTimers()
  primary = new Primary()
  warnings = []
})
afterEach(() => {
  vi.useRealTimers()
})

function catalogOf(mayWatch: () => boolean = () => true): DatabaseCatalog {
  return new DatabaseCatalog({
    database: 'shop',
    log: { info: () => {}, warn: (_facts, text) => void warnings.push(text) },
    open: primary.dial,
    onDefaults: () => {},
    onLostProofs: () => {},
    mayWatch,
  })
}

describe('DatabaseCatalog', () => {
  it('has a connection only while somebody holds it, and a little longer', async () => {
    const catalog = catalogOf()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(primary.dials).toBe(0)
    const letGo = catalog.hold()
    await catalog.ready
    expect(primary.open).toBe(1)
    expect(catalog.classifier.noReads).toBeNull()
    letGo()
    const again = catalog.hold()
    letGo()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(primary.open).toBe(1)
    again()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(primary.open).toBe(0)
    expect(catalog.classifier.noReads).not.toBeNull()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(primary.dials).toBe(1)
  })

  it('proves again what it knew without reading it anew when nothing has changed', async () => {
    const catalog = catalogOf()
    catalog.hold()()
    await catalog.ready
    await vi.advanceTimersByTimeAsync(10_000)
    expect(catalog.classifier.noReads).not.toBeNull()
    catalog.hold()
    await catalog.ready
    expect(catalog.classifier.noReads).toBeNull()
    expect(primary).toMatchObject({ dials: 2, loads: 1 })
  })

  it('gives its connection up at once when it is to leave and nobody holds it', async () => {
    const catalog = catalogOf()
    const letGo = catalog.hold()
    await catalog.ready
    letGo()
    catalog.leave()
    expect(primary.open).toBe(0)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(primary.dials).toBe(1)
  })

  it('tells a failure once, however often it is tried', async () => {
    primary.refusal = 'database "shop" does not exist'
    const catalog = catalogOf()
    catalog.hold()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(primary.dials).toBeGreaterThan(3)
    expect(warnings).toHaveLength(1)
  })

  it('keeps nobody waiting where there is no room for it, and comes when there is', async () => {
    let hasRoom = false
    const catalog = catalogOf(() => hasRoom)
    catalog.hold()
    await catalog.ready
    expect(primary.dials).toBe(0)
    expect(catalog.classifier.noReads).not.toBeNull()
    hasRoom = true
    catalog.wake()
    await catalog.ready
    expect(catalog.classifier.noReads).toBeNull()
  })
})
