import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProbeTimeout, probeFailure } from '../../../src/topology/probe-failure.ts'
import { coded } from './fake-node.ts'

describe('why a probe failed', () => {
  it.each([
    ['ECONNREFUSED', 'refused', true],
    ['57P03', 'shutdown', true],
    ['57P01', 'shutdown', true],
    ['ECONNRESET', 'reset', false],
    ['ETIMEDOUT', 'timeout', false],
    ['28P01', 'login', false],
    ['3D000', 'login', false],
    ['53300', 'answer', false],
  ])('sorts %s as %s', (code, kind, hard) => {
    expect(probeFailure(coded(code))).toMatchObject({ kind, hard })
  })

  it('looks into the aggregate that node:net throws when several addresses fail', () => {
    const error = new AggregateError([coded('ECONNREFUSED', 'connect ECONNREFUSED ::1:5432')])
    expect(probeFailure(error)).toMatchObject({
      kind: 'refused',
      detail: 'connect ECONNREFUSED ::1:5432',
    })
  })

  it('knows its own timeout', () => {
    expect(probeFailure(new ProbeTimeout(1000))).toMatchObject({
      kind: 'timeout',
      detail: 'no answer within 1000 ms',
    })
  })

  it('makes one short line of whatever was thrown', () => {
    fc.assert(
      fc.property(fc.anything(), (thrown) => {
        const { detail } = probeFailure(thrown)
        expect(detail).not.toContain('\n')
        expect(detail.length).toBeGreaterThan(0)
        expect(detail.length).toBeLessThanOrEqual(200)
      }),
    )
  })
})
