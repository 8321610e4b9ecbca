import { describe, expect, it } from 'vitest'
import type { HttpGetOptions } from '../../../src/discovery/http-get.ts'
import { type PatroniOptions, PatroniSource } from '../../../src/discovery/patroni-source.ts'

const answerOf = (...apis: string[]) =>
  JSON.stringify({
    members: apis.map((api, i) => ({ name: `pg${i}`, host: `10.0.0.${i}`, api_url: api })),
    scope: 'shop',
  })

/** Answers by origin; an origin without an answer refuses, one with null never answers. */
function setUp(
  answers: Readonly<Record<string, string | null>>,
  given: Partial<PatroniOptions> = {},
) {
  const asked: string[] = []
  const seen: HttpGetOptions[] = []
  const urls = ['http://a:8008', 'http://b:8008']
  const source = new PatroniSource(
    { kind: 'patroni', urls, timeoutMs: 40, ...given },
    (url, options) => {
      asked.push(url.href)
      seen.push(options)
      const answer = answers[url.host]
      if (answer === undefined) return Promise.reject(new Error('refused'))
      if (answer !== null) return Promise.resolve(answer)
      return new Promise((_, reject) => {
        options.signal?.addEventListener('abort', () => reject(new Error('given up')))
      })
    },
  )
  return { source, asked, seen }
}

describe('Patroni as a source', () => {
  it('begins each look with another member, those it has learnt included', async () => {
    const answer = answerOf('http://a:8008/patroni', 'http://c:8008/patroni')
    const { source, asked } = setUp({ 'a:8008': answer, 'b:8008': answer, 'c:8008': answer })
    for (let i = 0; i < 4; i++) await source.read()
    expect(asked).toEqual(['a', 'b', 'c', 'a'].map((host) => `http://${host}:8008/cluster`))
  })

  it('asks the next one when one refuses, and says of all why none answered', async () => {
    const { source } = setUp({ 'b:8008': answerOf('http://b:8008') })
    expect((await source.read()).members).toHaveLength(1)
    const { source: dead } = setUp({ 'b:8008': '<html>' })
    await expect(dead.read()).rejects.toThrow(
      'no Patroni answers (http://a:8008: refused; http://b:8008: its answer is no JSON)',
    )
  })

  it('does not wait for one that says nothing', async () => {
    const { source, seen } = setUp({ 'a:8008': null, 'b:8008': answerOf('http://b:8008') })
    expect((await source.read()).members).toHaveLength(1)
    expect(seen[0]?.signal?.aborted).toBe(true)
  })

  it('refuses members of another cluster, and a list of nobody', async () => {
    const { source } = setUp({ 'a:8008': answerOf('x') }, { scope: 'other' })
    await expect(source.read()).rejects.toThrow('it belongs to the cluster shop, not other')
    const { source: empty } = setUp({ 'a:8008': '{"members":[]}' })
    await expect(empty.read()).rejects.toThrow('it lists no member with an address')
  })

  it('shows its password to members that it learns only over the same protocol', async () => {
    const answer = answerOf('http://evil:80/patroni', 'https://c:8008/patroni')
    const password = { reveal: () => 'secret' }
    const urls = ['https://a:8008']
    const { source, asked, seen } = setUp(
      { 'a:8008': answer, 'c:8008': answer },
      { urls, user: 'app', password },
    )
    for (let i = 0; i < 3; i++) await source.read()
    expect(asked).toEqual(['a', 'c', 'a'].map((host) => `https://${host}:8008/cluster`))
    expect(seen[0]?.authorization).toBe(`Basic ${Buffer.from('app:secret').toString('base64')}`)
  })

  it('gives up what is running when it is closed', async () => {
    const { source } = setUp({ 'a:8008': null, 'b:8008': null })
    const read = source.read()
    source.close()
    await expect(read).rejects.toThrow('no Patroni answers')
  })
})
