import { expect, it } from 'vitest'
import { NodeRefusals } from '../../../src/client/node-refusals.ts'
import { SessionState } from '../../../src/server/session-state.ts'

const plain = SessionState.empty
const asBob = plain.with('role', 'bob')

it('holds a refused setting against its node, for sessions that have it, and not for long', () => {
  const refusals = new NodeRefusals()
  expect(refusals.at(asBob, 0)).toBe(0)
  refusals.noteSettings(asBob, 1, '22023', 0)
  expect(refusals.at(asBob, 49)).toBe(0b10)
  expect(refusals.at(plain, 49)).toBe(0)
  expect(refusals.at(asBob, 50)).toBe(0)
  // Each further refusal doubles the pause, up to two seconds.
  const pauses = []
  for (let nowMs = 50; pauses.length < 8; ) {
    refusals.noteSettings(asBob, 1, '22023', nowMs)
    let untilMs = nowMs
    while (refusals.at(asBob, untilMs) !== 0) untilMs++
    pauses.push(untilMs - nowMs)
    nowMs = untilMs
  }
  expect(pauses).toEqual([100, 200, 400, 800, 1600, 2000, 2000, 2000])
})

it('holds a refused log-in against its node for all sessions', () => {
  const refusals = new NodeRefusals()
  refusals.logins.note(2, '28000', 0)
  refusals.noteSettings(asBob, 1, '22023', 0)
  expect(refusals.at(asBob, 49)).toBe(0b110)
  expect(refusals.at(plain, 49)).toBe(0b100)
  expect(refusals.at(plain, 50)).toBe(0)
})
