import { describe, expect, it } from 'vitest'
import { EventHistory } from '../../../src/history/event-history.ts'

describe('what happened', () => {
  it('is kept in bounded memory, the newest last', () => {
    const events = new EventHistory(3, () => 1_000)
    for (let i = 1; i <= 5; i++) events.note('main', 'info', { event: 'e', node: `r${i}` }, `${i}`)
    expect(events.all.map(({ text, node }) => `${text} ${node}`)).toEqual(['3 r3', '4 r4', '5 r5'])
    expect(events.since(4).map(({ text }) => text)).toEqual(['5'])
    expect(events.since(events.lastId)).toEqual([])
  })

  it('is told once with how often, where the same happens again within seconds', () => {
    let nowMs = 0
    const events = new EventHistory(10, () => nowMs)
    const misroute = () => events.note('main', 'warn', { event: 'misroute' }, 'refused')
    misroute()
    events.note('main', 'info', { event: 'other' }, 'in between')
    nowMs = 5_000
    misroute()
    nowMs = 14_000
    misroute()
    const [, last] = events.all
    expect(last).toMatchObject({ times: 3, firstId: 1, id: 4, atMs: 14_000 })
    expect(events.since(2).map(({ firstId }) => firstId)).toEqual([1])
    nowMs = 40_000
    misroute()
    events.note('other', 'warn', { event: 'misroute' }, 'refused')
    expect(events.all.map(({ times }) => times)).toEqual([1, 3, 1, 1])
  })
})
