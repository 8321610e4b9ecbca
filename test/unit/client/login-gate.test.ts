import { describe, expect, it } from 'vitest'
import { type GatePlace, LoginGate, type LoginStage } from '../../../src/client/login-gate.ts'

/** What an attacker's client does before it goes silent, ms after it came. */
type Habit = readonly (readonly [LoginStage, number])[]

interface Flood {
  readonly perSecond: number
  readonly addresses: number
  readonly habit: Habit
}

/** The share of honest clients, one every 50 ms, that come through while the flood goes on. */
function honestShare({ perSecond, addresses, habit }: Flood, roundTripMs: number): number {
  let nowMs = 0
  const gate = new LoginGate(1_000, () => nowMs)
  const events: { readonly atMs: number; readonly run: () => void }[] = []
  const client = (address: string, cameMs: number, habit: Habit, leavesMs: number) => {
    const came = { isEvicted: false, place: null as GatePlace | null }
    const at = (afterMs: number, run: () => void) => events.push({ atMs: cameMs + afterMs, run })
    at(0, () => {
      came.place = gate.enter(address, () => {
        came.isEvicted = true
      })
    })
    for (const [stage, afterMs] of habit) at(afterMs, () => came.place?.reach(stage))
    at(leavesMs, () => came.place?.leave())
    return came
  }
  const everyMs = 1000 / perSecond
  for (let n = 0; n * everyMs < 5_000; n++) {
    client(`10.0.${n % addresses}.1`, n * everyMs, habit, 15_000)
  }
  const honest: Habit = [
    ['started', roundTripMs],
    ['answered', 2 * roundTripMs],
  ]
  const came = Array.from({ length: 50 }, (_, n) =>
    client('192.168.0.1', 2_000 + n * 50, honest, 3 * roundTripMs),
  )
  for (const { atMs, run } of events.sort((a, b) => a.atMs - b.atMs)) {
    nowMs = atMs
    run()
  }
  return came.filter(({ isEvicted }) => !isEvicted).length / came.length
}

describe('the gate of log-ins', () => {
  it.each<[string, Habit]>([
    ['say nothing', []],
    ['ask to start at once', [['started', 0]]],
    ['ask to start late', [['started', 400]]],
    [
      'answer once',
      [
        ['started', 1],
        ['answered', 2],
      ],
    ],
    [
      'answer slowly',
      [
        ['started', 300],
        ['answered', 900],
      ],
    ],
  ])('lets all honest clients through a flood of those that %s', (_, habit) => {
    for (const addresses of [1, 250]) {
      for (const roundTripMs of [1, 80, 400]) {
        const share = honestShare({ perSecond: 400, addresses, habit }, roundTripMs)
        expect({ addresses, roundTripMs, share }).toEqual({ addresses, roundTripMs, share: 1 })
      }
    }
  })

  it('takes no place from a small network for a crowded one', () => {
    const gate = new LoginGate(16, () => 0)
    const evicted: string[] = []
    gate.enter('10.0.0.1', () => evicted.push('small'))
    for (let n = 0; n < 100; n++) gate.enter('2001:db8::1', () => evicted.push('crowd'))
    expect(evicted).toHaveLength(85)
    expect(evicted).not.toContain('small')
    expect(gate.waiting).toBe(16)
  })

  it('forgets who has left, however often that is said', () => {
    const gate = new LoginGate(4, () => 0)
    const place = gate.enter('10.0.0.1', () => {})
    place.leave()
    place.leave()
    expect(gate.waiting).toBe(0)
  })
})
