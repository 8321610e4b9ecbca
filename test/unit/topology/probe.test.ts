import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseObservation, probeSql } from '../../../src/topology/probe.ts'
import { FakeNode } from './fake-node.ts'

describe('the probe', () => {
  it('reads a primary’s answer', () => {
    const node = new FakeNode('primary')
    node.timeline = 26
    expect(parseObservation(node.row(true), 1, 2)).toEqual({
      sentAtMs: 1,
      atMs: 2,
      role: 'primary',
      insertLsn: 1000n,
      flushLsn: 1000n,
      replayLsn: null,
      receiveLsn: null,
      timeline: 26,
      timelineExact: true,
      systemIdentifier: '7000000000000000001',
      streaming: null,
      replayPaused: false,
      waitsForStandbys: false,
      serverVersion: 150018,
      configuredAt: '2026-11-29 2026-11-28',
    })
  })

  it('tells that commits of a primary wait for standbys', () => {
    const row = [...new FakeNode('primary').row(true)]
    row[14] = 'true'
    expect(parseObservation(row, 1, 2).waitsForStandbys).toBe(true)
  })

  it('reads a streaming replica’s answer', () => {
    const node = new FakeNode('replica')
    node.timeline = 3
    node.paused = true
    expect(parseObservation(node.row(true), 1, 2)).toMatchObject({
      role: 'replica',
      replayLsn: 1000n,
      timeline: 3,
      timelineExact: true,
      streaming: true,
      replayPaused: true,
    })
  })

  it('takes the control file’s timeline as inexact when the WAL receiver is hidden or gone', () => {
    const node = new FakeNode('replica')
    node.receiverVisible = false
    node.timeline = 3
    node.controlTimeline = 2
    const hidden = parseObservation(node.row(true), 1, 2)
    expect(hidden).toMatchObject({ timeline: 2, timelineExact: false, streaming: null })
    node.receiver = false
    expect(parseObservation(node.row(true), 1, 2).streaming).toBe(false)
    expect(parseObservation(node.row(false), 1, 2).timeline).toBeNull()
  })

  it('names the column that makes no sense', () => {
    const row = [...new FakeNode('primary').row(true)]
    expect(() => parseObservation(row.slice(1), 1, 2)).toThrow('14 columns')
    row[1] = 'zzz'
    expect(() => parseObservation(row, 1, 2)).toThrow('pg_current_wal_insert_lsn = zzz')
  })

  it('leaves the control file alone at the basic level', () => {
    expect(probeSql('full')).toContain('pg_control_system')
    expect(probeSql('basic')).not.toContain('pg_control')
  })

  it('answers any row with an observation or an Error', () => {
    const cell = fc.option(
      fc.oneof(fc.string(), fc.constantFrom('true', 'false', '0/1', '1', '0'.repeat(24))),
    )
    fc.assert(
      fc.property(fc.array(cell, { minLength: 13, maxLength: 15 }), (row) => {
        try {
          const seen = parseObservation(row, 1, 2)
          if (seen.role === 'primary') expect(seen.insertLsn).not.toBeNull()
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
          expect((error as Error).message).toMatch(/^a probe was answered with/)
        }
      }),
    )
  })
})
