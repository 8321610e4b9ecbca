import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isHost } from '../../../src/discovery/member.ts'
import { parsePatroniCluster } from '../../../src/discovery/patroni-cluster.ts'

/** What Patroni 3.0 answered for a cluster of three, one of them just being made. */
const answer = {
  members: [
    {
      name: 'pg1',
      role: 'leader',
      state: 'running',
      api_url: 'http://127.0.0.1:28008/patroni',
      host: '127.0.0.1',
      port: 28001,
      timeline: 1,
      tags: { nofailover: true, zone: 'a' },
    },
    {
      name: 'pg2',
      role: 'sync_standby',
      state: 'streaming',
      api_url: 'http://127.0.0.1:28009/patroni',
      host: '127.0.0.1',
      port: '28002',
      timeline: 1,
      lag: 0,
      tags: { noloadbalance: true, clonefrom: true },
    },
    { name: 'pg3', role: 'replica', state: 'creating replica', api_url: 'x', lag: 'unknown' },
  ],
  pause: true,
}

describe('an answer of Patroni', () => {
  it('gives its members with what is claimed of them, those with an address', () => {
    expect(parsePatroniCluster(JSON.stringify(answer))).toEqual({
      members: [
        {
          name: 'pg1',
          host: '127.0.0.1',
          port: 28001,
          serverName: null,
          claim: 'leader, running, nofailover',
          isLeader: true,
          isBalanced: true,
          zone: 'a',
        },
        {
          name: 'pg2',
          host: '127.0.0.1',
          port: 28002,
          serverName: null,
          claim: 'sync_standby, streaming, noloadbalance, clonefrom',
          isLeader: false,
          isBalanced: false,
          zone: null,
        },
      ],
      isPaused: true,
      validMs: null,
      complaint: null,
      apiUrls: ['http://127.0.0.1:28008/patroni', 'http://127.0.0.1:28009/patroni', 'x'],
      scope: null,
    })
  })

  it('takes the leader of a standby cluster for no primary', () => {
    const text = JSON.stringify({ members: [{ name: 'a', host: 'b', role: 'standby_leader' }] })
    expect(parsePatroniCluster(text).members[0]).toMatchObject({ isLeader: false, port: 5432 })
  })

  it('leaves out a host that is none', () => {
    const text = JSON.stringify({
      members: [
        { name: 'a', host: 'b/c?d' },
        { name: 'e', host: '' },
      ],
    })
    expect(parsePatroniCluster(text).members).toEqual([])
  })

  it.each([
    ['<html>', 'no JSON'],
    ['[]', "not Patroni's: no members"],
    ['{}', "not Patroni's: members"],
    ['{"members":[{"name":5}]}', "not Patroni's: members.0.name"],
    ['{"members":[{"name":"a\\u0007","host":"b"}]}', "not Patroni's: members.0.name"],
    ['{"members":[{"name":"a","host":"b","port":0}]}', "not Patroni's: members.0.port"],
    ['{"members":[{"name":"a","host":"b","port":70000}]}', "not Patroni's: members.0.port"],
  ])('is refused when it is %s', (text, reason) => {
    expect(() => parsePatroniCluster(text)).toThrow(reason)
  })

  it('never gives anything but members that can be dialled, whatever the text', () => {
    const odd = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.jsonValue())
    const one = fc.record(
      {
        name: fc.oneof({ weight: 4, arbitrary: fc.string({ minLength: 1 }) }, odd),
        host: fc.oneof({ weight: 4, arbitrary: fc.domain() }, fc.ipV4(), fc.ipV6(), odd),
        port: fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 65_535 }) }, odd),
        role: fc.oneof(fc.constantFrom('leader', 'replica', 'sync_standby'), odd),
        state: fc.oneof(fc.constantFrom('running', 'streaming', 'stopped'), odd),
        tags: fc.oneof(fc.dictionary(fc.constantFrom('noloadbalance', 'zone'), odd), odd),
        api_url: odd,
      },
      { requiredKeys: ['name'] },
    )
    const text = fc.oneof(
      fc.record({ members: fc.array(one), pause: odd }).map((value) => JSON.stringify(value)),
      fc.json(),
      fc.string(),
    )
    fc.assert(
      fc.property(text, (given) => {
        let members: ReturnType<typeof parsePatroniCluster>['members']
        try {
          members = parsePatroniCluster(given).members
        } catch (error) {
          expect((error as Error).message).toMatch(/^its answer is/)
          expect((error as Error).message.length).toBeLessThan(200)
          return
        }
        for (const { host, port, name, claim } of members) {
          expect(isHost(host)).toBe(true)
          expect(port).toBeGreaterThan(0)
          expect(port).toBeLessThan(65_536)
          expect(name).not.toMatch(/\p{C}/u)
          expect(claim.length).toBeLessThan(200)
        }
      }),
    )
  })
})
