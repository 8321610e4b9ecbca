import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Addresses, type Lookup } from '../../../src/net/addresses.ts'

type Done = Parameters<Lookup>[1]

/** A name service that the test answers for. */
function service() {
  const asked: { host: string; done: Done }[] = []
  const book = new Addresses((host, done) => void asked.push({ host, done }))
  const find = (host: string) => {
    const heard: string[] = []
    book.find(host, (error, found) => {
      heard.push(error === null ? found.map(({ address }) => address).join() : (error.code ?? ''))
    })
    return heard
  }
  return { asked, book, find }
}

const good = (done: Done | undefined, ...all: string[]) =>
  done?.(
    null,
    all.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
  )
const bad = (done: Done | undefined, code: string) =>
  done?.(Object.assign(new Error(code), { code }), [])

describe('addresses of hosts', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('asks for no literal address', () => {
    const { asked, find } = service()
    expect(find('127.0.0.1')).toEqual(['127.0.0.1'])
    expect(find('::1')).toEqual(['::1'])
    expect(asked).toEqual([])
  })

  it('looks a name up once for all who want it now, and again for who comes later', () => {
    const { asked, find } = service()
    const [first, second] = [find('db'), find('db')]
    expect(asked).toHaveLength(1)
    good(asked[0]?.done, '10.0.0.1')
    expect([first, second]).toEqual([['10.0.0.1'], ['10.0.0.1']])
    const third = find('db')
    good(asked[1]?.done, '10.0.0.2')
    expect(third).toEqual(['10.0.0.2'])
  })

  it.each(['EAI_AGAIN', 'ENOTFOUND'])('stands in with the last good ones after %s', (code) => {
    const { asked, find } = service()
    find('db')
    good(asked[0]?.done, '10.0.0.1')
    const heard = find('db')
    bad(asked[1]?.done, code)
    expect(heard).toEqual(['10.0.0.1'])
    const never = find('other')
    bad(asked[2]?.done, code)
    expect(never).toEqual([code])
  })

  it('does not wait for a look-up that hangs, nor begin another one beside it', () => {
    const { asked, find } = service()
    find('db')
    good(asked[0]?.done, '10.0.0.1')
    const heard = find('db')
    vi.advanceTimersByTime(499)
    expect(heard).toEqual([])
    vi.advanceTimersByTime(1)
    expect(heard).toEqual(['10.0.0.1'])
    const more = find('db')
    expect(asked).toHaveLength(2)
    good(asked[1]?.done, '10.0.0.9')
    expect(more).toEqual(['10.0.0.9'])
    expect(heard).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('gives net.connect the family that it wants', () => {
    const { asked, book } = service()
    const told: unknown[] = []
    book.forDial('db', { all: true }, (error, found) => told.push(error?.code ?? found))
    book.forDial('db', { family: 6 }, (error, found, family) =>
      told.push(error?.code ?? [found, family]),
    )
    book.forDial('db', {}, (error, found, family) => told.push(error?.code ?? [found, family]))
    good(asked[0]?.done, '10.0.0.1', '::5')
    expect(told).toEqual([
      [
        { address: '10.0.0.1', family: 4 },
        { address: '::5', family: 6 },
      ],
      ['::5', 6],
      ['10.0.0.1', 4],
    ])
  })
})
