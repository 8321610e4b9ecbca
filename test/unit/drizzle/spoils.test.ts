import { describe, expect, it } from 'vitest'
import { isRead, spoils } from '../../../src/drizzle/judge-text.ts'
import { makeClass } from '../../../src/sql/classify-text.ts'
import type { Effect } from '../../../src/sql/statement-class.ts'

const classWith = (...effects: Effect[]) =>
  makeClass([{ verdict: 'replica', reason: 'reads', pin: null, effects }], 'select', null)

describe('a statement whose effects on the session are not proved', () => {
  it.each([[null], [[]], [['app.tenant']]])('is no read, and spoils its connection', (customs) => {
    const cls = classWith({ kind: 'unproved', why: 'calls a function', customs })
    expect(isRead(cls)).toBe(false)
    expect(spoils(cls, false)).toBe(true)
    expect(spoils(cls, true)).toBe(true)
    expect(isRead(classWith())).toBe(true)
  })
})
