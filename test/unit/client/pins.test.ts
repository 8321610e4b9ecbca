import { describe, expect, it } from 'vitest'
import { Pins } from '../../../src/client/pins.ts'
import type { Effect } from '../../../src/sql/statement-class.ts'

const pairs: [string, Effect, Effect[]][] = [
  [
    'LISTEN',
    { kind: 'listen', channel: 'a' },
    [
      { kind: 'unlisten', channel: 'a' },
      { kind: 'unlisten', channel: null },
    ],
  ],
  [
    'WITH HOLD',
    { kind: 'declare', name: 'c', hold: true },
    [
      { kind: 'close-cursor', name: 'c' },
      { kind: 'close-cursor', name: null },
    ],
  ],
  ['temporary', { kind: 'temp' }, [{ kind: 'discard', what: 'temp' }]],
  ['advisory lock', { kind: 'advisory-lock' }, [{ kind: 'advisory-unlock', all: true }]],
]

describe('a pin', () => {
  it.each(pairs)('by %s goes with what ends it, or with DISCARD ALL', (_, effect, ends) => {
    for (const end of [...ends, { kind: 'discard', what: 'all' } as const]) {
      const pins = new Pins()
      expect(pins.reason).toBeNull()
      expect(pins.apply(effect)).toBe(true)
      expect(pins.reason).not.toBeNull()
      pins.apply(end)
      expect(pins.reason).toBeNull()
    }
  })

  it('stays while another reason holds', () => {
    const pins = new Pins()
    pins.apply({ kind: 'listen', channel: 'a' })
    pins.apply({ kind: 'temp' })
    pins.add('LOAD')
    pins.apply({ kind: 'unlisten', channel: null })
    expect(pins.reason).toBe('temporary objects')
    pins.apply({ kind: 'discard', what: 'temp' })
    expect(pins.reason).toBe('LOAD')
    pins.clear()
    expect(pins.reason).toBeNull()
  })

  it('by locks stays when only one of them is given back', () => {
    const pins = new Pins()
    pins.apply({ kind: 'advisory-lock' })
    pins.apply({ kind: 'advisory-unlock', all: false })
    expect(pins.reason).not.toBeNull()
  })

  it('is no matter of a cursor that ends with its transaction', () => {
    const pins = new Pins()
    expect(pins.apply({ kind: 'declare', name: 'c', hold: false })).toBe(false)
    expect(pins.reason).toBeNull()
  })
})
