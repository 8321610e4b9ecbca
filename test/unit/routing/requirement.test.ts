import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  initialFacts,
  PLAIN_REPLICA,
  requirementOf,
  SEEING_REPLICA,
  type SessionFacts,
} from '../../../src/routing/requirement.ts'
import type { TransactionModes, Verdict } from '../../../src/sql/statement-class.ts'
import { classOf, hint } from './fixtures.ts'

const READ = classOf('replica')

function modes(given: Partial<TransactionModes> = {}): TransactionModes {
  return { isolation: null, readOnly: null, deferrable: null, ...given }
}

function target(verdict: Verdict, facts: Partial<SessionFacts>): string {
  return requirementOf(classOf(verdict), initialFacts(facts)).target
}

describe('the requirement of a statement', () => {
  it('is one shared frozen object for a plain read', () => {
    expect(requirementOf(READ, initialFacts())).toBe(SEEING_REPLICA)
    expect(requirementOf(classOf('either'), initialFacts())).toBe(SEEING_REPLICA)
    expect(Object.isFrozen(SEEING_REPLICA)).toBe(true)
  })

  it.each(['primary', 'pin', 'control'] as const)(
    'sends %s to the primary and says why',
    (verdict) => {
      const cls = classOf(verdict)
      const requirement = requirementOf(cls, initialFacts())
      expect(requirement).toMatchObject({ target: 'primary', reason: `because ${verdict}` })
      expect(requirementOf(cls, initialFacts())).toBe(requirement)
    },
  )

  it('sends a statement that a standby has refused to the primary from then on', () => {
    const cls = classOf('replica', { learned: 'a standby refused it: 25006' })
    expect(requirementOf(cls, initialFacts())).toMatchObject({
      target: 'primary',
      reason: 'a standby refused it: 25006',
    })
  })

  it('keeps a pinned session where it is', () => {
    const pinned = requirementOf(READ, initialFacts({ pinned: 'temporary table' }))
    expect(pinned).toMatchObject({ target: 'primary', reason: 'pinned: temporary table' })
  })

  it('sends READ ONLY transactions to a replica and all others to the primary', () => {
    expect(target('replica', { pendingBegin: modes() })).toBe('primary')
    expect(target('replica', { pendingBegin: modes({ readOnly: true }) })).toBe('replica')
    expect(target('replica', { pendingBegin: modes(), defaultReadOnly: true })).toBe('replica')
    const readWrite = modes({ readOnly: false })
    expect(target('replica', { pendingBegin: readWrite, defaultReadOnly: true })).toBe('primary')
    expect(target('primary', { pendingBegin: modes({ readOnly: true }) })).toBe('primary')
  })

  it('lets a control statement at the head of a READ ONLY transaction go to a replica', () => {
    expect(target('control', { pendingBegin: modes({ readOnly: true }) })).toBe('replica')
    expect(target('control', { pendingBegin: modes() })).toBe('primary')
  })

  it('keeps serializable and deferrable transactions at the primary', () => {
    const serializable = modes({ readOnly: true, isolation: 'serializable' })
    expect(target('replica', { pendingBegin: serializable })).toBe('primary')
    const deferrable = modes({ readOnly: true, deferrable: true })
    expect(target('replica', { pendingBegin: deferrable })).toBe('primary')
    expect(target('replica', { defaultIsolationSerializable: true })).toBe('primary')
    const explicit = modes({ readOnly: true, isolation: 'read committed' })
    const facts = { pendingBegin: explicit, defaultIsolationSerializable: true }
    expect(target('replica', facts)).toBe('replica')
  })

  it('keeps what holds a snapshot at the primary, unless a replica is asked for', () => {
    const repeatable = modes({ readOnly: true, isolation: 'repeatable read' })
    const readOnly = modes({ readOnly: true })
    for (const facts of [
      { pendingBegin: repeatable },
      { pendingBegin: readOnly, defaultIsolationRepeatable: true },
      { pendingBegin: readOnly, opensCursor: true },
    ]) {
      expect(target('replica', facts)).toBe('primary')
      expect(target('control', facts)).toBe('primary')
      expect(target('replica', { ...facts, routeSetting: 'replica' })).toBe('replica')
      const toReplica = classOf('replica', { hint: hint({ route: 'replica' }) })
      expect(requirementOf(toReplica, initialFacts(facts)).target).toBe('replica')
    }
    expect(target('replica', { defaultIsolationRepeatable: true })).toBe('replica')
  })

  it('obeys hints, but never with a statement that is not a proved read', () => {
    const toPrimary = classOf('replica', { hint: hint({ route: 'primary' }) })
    expect(requirementOf(toPrimary, initialFacts()).target).toBe('primary')
    const write = classOf('primary', { hint: hint({ route: 'replica' }) })
    expect(requirementOf(write, initialFacts()).target).toBe('primary')
    const toReplica = classOf('replica', { hint: hint({ route: 'replica' }) })
    const facts = initialFacts({ routeSetting: 'primary', consistency: 'primary' })
    expect(requirementOf(toReplica, facts).target).toBe('replica')
  })

  it('takes maxLag and consistency from the hint before the session', () => {
    const hinted = classOf('replica', { hint: hint({ maxLagMs: 500 }) })
    expect(requirementOf(hinted, initialFacts({ maxLagMs: 2000 })).maxLagMs).toBe(500)
    expect(requirementOf(READ, initialFacts({ maxLagMs: 2000 })).maxLagMs).toBe(2000)
    const eventual = classOf('replica', { hint: hint({ consistency: 'eventual' }) })
    expect(
      requirementOf(eventual, initialFacts({ watermark: { timeline: 1, lsn: 5n }, dirtySince: 3 })),
    ).toBe(PLAIN_REPLICA)
    const strict = classOf('replica', { hint: hint({ route: 'replica', consistency: 'primary' }) })
    expect(requirementOf(strict, initialFacts()).target).toBe('primary')
  })

  it('demands what the session has seen for session consistency only', () => {
    expect(requirementOf(READ, initialFacts())).toBe(SEEING_REPLICA)
    expect(requirementOf(READ, initialFacts({ consistency: 'eventual' }))).toBe(PLAIN_REPLICA)
    const bounded = requirementOf(READ, initialFacts({ consistency: 'bounded', maxLagMs: 200 }))
    expect(bounded).toMatchObject({ sees: false, isBounded: true, maxLagMs: 200 })
    expect(target('replica', { consistency: 'primary' })).toBe('primary')
  })

  it('lets nothing but proved reads out to a replica, unless the session already is there', () => {
    const verdicts = fc.constantFrom<Verdict>('either', 'replica', 'control', 'primary', 'pin')
    const facts = fc.record({
      pinned: fc.constantFrom(null, 'x'),
      pendingBegin: fc.option(
        fc.record<TransactionModes>({
          isolation: fc.constantFrom(null, 'serializable' as const, 'read committed' as const),
          readOnly: fc.constantFrom(null, true, false),
          deferrable: fc.constantFrom(null, true, false),
        }),
      ),
      defaultReadOnly: fc.boolean(),
      defaultIsolationSerializable: fc.boolean(),
      routeSetting: fc.constantFrom('auto' as const, 'primary' as const, 'replica' as const),
    })
    const hints = fc.constantFrom(null, 'primary' as const, 'replica' as const)
    fc.assert(
      fc.property(verdicts, facts, hints, (verdict, given, route) => {
        const cls = classOf(verdict, { hint: route === null ? null : hint({ route }) })
        const requirement = requirementOf(cls, initialFacts(given))
        expect(requirement.reason).not.toBe('')
        if (requirement.target !== 'replica') return
        expect(given.pinned).toBeNull()
        const begin = given.pendingBegin
        if (begin !== null) expect(begin.readOnly ?? given.defaultReadOnly).toBe(true)
        if (begin === null) expect(['either', 'replica']).toContain(verdict)
        else expect(['either', 'replica', 'control']).toContain(verdict)
      }),
    )
  })
})
