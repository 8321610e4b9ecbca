import { describe, expect, it } from 'vitest'
import { catalogSource } from '../../../src/core/catalog-source.ts'
import { snapshotOf, view } from '../routing/fixtures.ts'

const lost = { role: 'unknown', health: 'down' } as const

describe('the node whose catalogs count', () => {
  it('is the primary, whatever was read before', () => {
    const snapshot = snapshotOf([view(0), view(1)])
    expect(catalogSource(snapshot, null)).toEqual({ index: 0, isStandby: false })
    const last = { index: 1, isStandby: true }
    expect(catalogSource(snapshot, last)).toEqual({ index: 0, isStandby: false })
  })

  it('is the standby that has replayed most while there is no primary, and stays', () => {
    const nodes = [view(0, lost), view(1), view(2, { replayLsn: 2000n })]
    const first = catalogSource(snapshotOf(nodes), { index: 0, isStandby: false })
    expect(first).toEqual({ index: 2, isStandby: true })
    const later = [view(0, lost), view(1, { replayLsn: 3000n }), view(2, { replayLsn: 2000n })]
    expect(catalogSource(snapshotOf(later), first)).toEqual(first)
    const gone = [view(0, lost), view(1), view(2, { readable: false })]
    expect(catalogSource(snapshotOf(gone), first)).toEqual({ index: 1, isStandby: true })
  })

  it('is none that must not be read', () => {
    const nodes = [view(0, lost), view(1, { readable: false }), view(2, { leaving: true })]
    expect(catalogSource(snapshotOf(nodes), null)).toBeNull()
  })
})
