import { describe, expect, it } from 'vitest'
import {
  demoSummary,
  demoTable,
  lagText,
  type Sample,
  STALE,
} from '../../../src/demo/demo-table.ts'

const node = (
  name: string,
  role: string,
  requests: number,
  reads: number,
  lagMs: number | null,
) => ({
  name,
  role,
  state: 'up',
  lagMs,
  requests,
  reads,
})

const before: Sample = {
  atMs: 1000,
  reads: 100,
  writes: 10,
  transactions: 5,
  errors: 0,
  nodes: [node('primary', 'primary', 50, 0, null), node('replica1', 'replica', 100, 100, 3)],
}

describe('the live table of the demo', () => {
  it('shows what happened between two samples, per second', () => {
    const now: Sample = {
      atMs: 3000,
      reads: 740,
      writes: 110,
      transactions: 55,
      errors: 1,
      nodes: [
        node('primary', 'primary', 212, 12, null),
        node('replica1', 'replica', 420, 420, 2.4),
        node('replica2', 'replica', 308, 308, 12_345),
      ],
    }
    expect(demoTable(before, now)).toEqual([
      'node      role     state     lag  requests/s  share of reads',
      'primary   primary  up          –          81           1.9 %',
      'replica1  replica  up       2 ms         160          50.0 %',
      'replica2  replica  up     12.3 s         154          48.1 %',
      'workload: 320 reads/s, 50 writes/s, 25 transactions/s, 1 error so far',
    ])
  })

  it('survives counters that start again, and a second without reads', () => {
    const now: Sample = { ...before, atMs: 1000, nodes: [node('primary', 'primary', 0, 0, null)] }
    expect(demoTable(before, now)).toEqual([
      'node     role     state  lag  requests/s  share of reads',
      'primary  primary  up       –           0               –',
      'workload: 0 reads/s, 0 writes/s, 0 transactions/s, 0 errors so far',
    ])
  })

  it('fits on a terminal of 80 columns', () => {
    const wide = node('replica15', 'replica', 999_999, 999_999, 999_999)
    const lines = demoTable(before, { ...before, atMs: 2000, nodes: [wide] })
    for (const line of lines) expect(line.length).toBeLessThan(80)
  })

  it.each([
    [null, '–'],
    [0, '0 ms'],
    [999, '999 ms'],
    [1000, '1.0 s'],
    [61_000, '61.0 s'],
  ])('writes a lag of %s as %s', (lagMs, text) => {
    expect(lagText(lagMs)).toBe(text)
  })
})

describe('the summary of the demo', () => {
  const totals = {
    seconds: 10,
    reads: 1000,
    writes: 100,
    transactions: 50,
    readBack: 40,
    errors: new Map<string, number>(),
    nodes: [
      { name: 'primary', role: 'primary', commits: 160 },
      { name: 'replica1', role: 'replica', commits: 495 },
      { name: 'replica2', role: 'replica', commits: 495 },
    ],
  }

  it('tells what the servers counted and where the reads were', () => {
    expect(demoSummary(totals)).toEqual([
      '1150 requests in 10.0 s: 1000 reads, 100 writes, 50 transactions',
      'transactions that the servers counted themselves (pg_stat_database):',
      '  primary   primary  160',
      '  replica1  replica  495',
      '  replica2  replica  495',
      'share of the reads that replicas served: 99.0 %',
      'reads right after an own commit: 40, of which stale: 0',
      'errors: none',
    ])
  })

  it('lists the errors with their number, stale reads among them', () => {
    const errors = new Map([
      [STALE, 2],
      ['Connection terminated', 1],
    ])
    expect(demoSummary({ ...totals, errors }).slice(-4)).toEqual([
      'reads right after an own commit: 40, of which stale: 2',
      'errors:',
      '  2 × a client did not see its own committed write',
      '  1 × Connection terminated',
    ])
  })
})
