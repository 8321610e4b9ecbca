import { describe, expect, it } from 'vitest'
import { questionText } from '../../../src/client/pin-question.ts'
import { Pins } from '../../../src/client/pins.ts'
import { lastingPin } from '../../../src/sql/pin.ts'
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
    pins.add(lastingPin('LOAD'))
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

describe('what the server is asked', () => {
  it('is each cause once: when it came, and again when it may have gone', () => {
    const pins = new Pins()
    expect(pins.question()).toBeNull()
    pins.apply({ kind: 'temp' })
    pins.apply({ kind: 'advisory-lock' })
    expect(pins.question()).toEqual({
      causes: ['temp', 'locks'],
      settings: [],
      allSettings: false,
      isOpen: false,
    })
    expect(pins.question()).toBeNull()
    pins.answer('temp', 1)
    pins.answer('locks', 2)
    expect(pins.reason).toBe('temporary objects')
    pins.apply({ kind: 'advisory-unlock', all: false })
    expect(pins.question()?.causes).toEqual(['locks'])
    pins.answer('locks', 0)
    expect(pins.reason).toBe('temporary objects')
    pins.apply({ kind: 'ddl', touches: null })
    expect(pins.question()?.causes).toEqual(['temp'])
    pins.answer('temp', 0)
    expect(pins.reason).toBeNull()
    // What doesn't pin is no question, either.
    pins.apply({ kind: 'advisory-unlock', all: false })
    pins.apply({ kind: 'ddl', touches: null })
    pins.doubtAll()
    expect(pins.question()).toBeNull()
  })

  it('is everything after a rollback, but not what nobody can answer', () => {
    const pins = new Pins()
    pins.apply({ kind: 'listen', channel: 'a' })
    pins.apply({ kind: 'declare', name: 'c', hold: true })
    pins.add(lastingPin('loads x'))
    expect(pins.question()).toBeNull()
    pins.doubtAll()
    expect(pins.question()?.causes).toEqual(['channels', 'cursors'])
    pins.answer('channels', 0)
    pins.answer('cursors', 0)
    expect(pins.reason).toBe('loads x')
  })

  it('is the value of a setting, or of all', () => {
    const pins = new Pins()
    pins.ask('my.tenant')
    pins.ask('*')
    expect(pins.reason).toBe('setting my.tenant whose value the statement does not show')
    expect(pins.question()).toEqual({
      causes: [],
      settings: ['my.tenant'],
      allSettings: true,
      isOpen: false,
    })
    pins.know('my.tenant')
    expect(pins.reason).toBe('a setting that the statement does not name')
    pins.know('*')
    expect(pins.reason).toBeNull()
  })

  it('tells a connection of dblink without a name from those that have one', () => {
    const connect = { kind: 'dblink', ends: false, hasArguments: true } as const
    const pins = new Pins()
    for (const _ of ['named', 'unnamed']) pins.apply(connect)
    pins.answer('dblink', 1)
    pins.apply({ kind: 'dblink', ends: true, hasArguments: true })
    pins.answer('dblink', 0)
    expect(pins.reason).toBe('dblink connection')
    pins.apply({ kind: 'dblink', ends: true, hasArguments: false })
    pins.answer('dblink', 0)
    expect(pins.reason).toBeNull()
  })

  it('is not asked of sequences, which end with DISCARD SEQUENCES', () => {
    const pins = new Pins()
    pins.add('reads sequences')
    pins.add('calls nextval')
    pins.doubtAll()
    expect(pins.question()).toBeNull()
    pins.apply({ kind: 'discard', what: 'sequences' })
    expect(pins.reason).toBeNull()
  })

  it('is asked in words that no search_path can bend', () => {
    const text = questionText(
      {
        causes: ['temp', 'locks', 'cursors', 'channels', 'dblink'],
        settings: ['role'],
        allSettings: true,
        isOpen: false,
      },
      ['my.tenant'],
    )
    expect(
      text.match(/(?<![.\w])(?:pg_\w+|count|lower|current_setting|substring)(?=[ (])/g),
    ).toBeNull()
    expect(text.replaceAll('OPERATOR(pg_catalog.=)', '')).not.toMatch(/[^t] = (?!2000|off)/)
  })
})
