import { describe, expect, it } from 'vitest'
import { eventsOf } from '../../../dashboard/event-stream.ts'
import { bytes, count, duration, percent } from '../../../dashboard/format.ts'

describe('numbers of the dashboard', () => {
  it('are short, and have a unit that fits', () => {
    expect([0, 0.0042, 0.25, 4.24, 43.6, 999, 1_200, 90_000, 7_200_000].map(duration)).toEqual([
      '0 ms',
      '4.2 µs',
      '250 µs',
      '4.2 ms',
      '44 ms',
      '999 ms',
      '1.2 s',
      '90 s',
      '2 h',
    ])
    expect([0, 0.44, 7, 99.96, 1_234, 12_345, 1_200_000].map(count)).toEqual([
      '0',
      '0.4',
      '7',
      '100',
      '1234',
      '12 k',
      '1.2 M',
    ])
    expect([percent(1, 3), percent(1, 200), percent(0, 5), percent(1, 0)]).toEqual([
      '33 %',
      '0.5 %',
      '0 %',
      '–',
    ])
    expect([bytes(512), bytes(1_500), bytes(16_000_000)]).toEqual(['512 B', '1.5 kB', '16 MB'])
    expect([duration(null), count(Number.NaN)]).toEqual(['–', '–'])
  })
})

describe('server-sent events', () => {
  it('are the same wherever the stream is cut', async () => {
    const text = 'event: hello\ndata: {"a":"ä"}\n\nevent: tick\ndata: 1\n\n'
    const whole = new TextEncoder().encode(text)
    for (let cut = 0; cut <= whole.length; cut++) {
      const parts = [whole.slice(0, cut), whole.slice(cut)]
      const body = new ReadableStream({
        start: (controller) => {
          for (const part of parts) controller.enqueue(part)
          controller.close()
        },
      })
      const found = []
      for await (const event of eventsOf(new Response(body))) found.push(event)
      expect(found).toEqual([
        { event: 'hello', data: '{"a":"ä"}' },
        { event: 'tick', data: '1' },
      ])
    }
  })
})
