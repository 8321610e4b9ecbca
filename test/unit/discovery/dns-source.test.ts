import { describe, expect, it } from 'vitest'
import { type DnsOptions, DnsSource, type Lookup } from '../../../src/discovery/dns-source.ts'

const failure = (code: string) => Object.assign(new Error(`query ${code}`), { code })

/** Records by `type name`; a code instead of records fails. */
type Records = Record<string, readonly unknown[] | string>

function setUp(records: Records, given: Partial<DnsOptions> = {}) {
  let nowMs = 0
  const answer = async (key: string) => {
    const found = records[key] ?? 'ENOTFOUND'
    if (typeof found === 'string') throw failure(found)
    return found
  }
  const withTtl = (type: string) => async (name: string) =>
    (await answer(`${type} ${name}`)).map((address) => ({ address: String(address), ttl: 7 }))
  const lookup: Lookup = {
    resolve4: withTtl('A'),
    resolve6: withTtl('AAAA'),
    resolveSrv: async (name) =>
      (await answer(`SRV ${name}`)).map((target) => {
        const [host = '', port = ''] = String(target).split(':')
        return { name: host, port: Number(port), priority: 0, weight: 0 }
      }),
    cancel: () => {},
  }
  const options: DnsOptions = {
    kind: 'dns',
    read: 'ro.example',
    write: 'rw.example',
    port: 5432,
    servers: [],
    family: 'auto',
    keepForMs: 1000,
    timeoutMs: 100,
    ...given,
  }
  const source = new DnsSource(options, lookup, () => nowMs)
  const names = async () =>
    (await source.read()).members.map(({ name, claim }) => `${name} ${claim}`)
  const wait = (ms: number): void => {
    nowMs += ms
  }
  return { source, names, records, wait }
}

describe('the DNS as a source', () => {
  it('makes every address a node, named after it, in an order of its own', async () => {
    const { source } = setUp({
      'A ro.example': ['10.0.0.3', '10.0.0.2', '10.0.0.1'],
      'A rw.example': ['10.0.0.1'],
    })
    const { members, validMs } = await source.read()
    expect(members.map(({ name, claim, isLeader }) => [name, claim, isLeader])).toEqual([
      ['10.0.0.1', 'read, write', true],
      ['10.0.0.2', 'read', false],
      ['10.0.0.3', 'read', false],
    ])
    expect(members[0]).toMatchObject({ host: '10.0.0.1', port: 5432, serverName: 'ro.example' })
    expect(validMs).toBe(7000)
  })

  it('names the targets of SRV records after their hosts, each with its port', async () => {
    const { source } = setUp(
      {
        'SRV _pg._tcp.example': ['pg-0.db.example:5433', 'pg-1.db.example:5434'],
        'A pg-0.db.example': ['10.0.0.1'],
        'AAAA pg-1.db.example': ['fd00::2'],
        'A rw.example': ['10.0.0.1'],
      },
      { read: '_pg._tcp.example', port: 5433 },
    )
    expect((await source.read()).members).toMatchObject([
      { name: 'pg-0', host: '10.0.0.1', port: 5433, serverName: 'pg-0.db.example', isLeader: true },
      { name: 'pg-1', host: 'fd00::2', port: 5434, serverName: 'pg-1.db.example', isLeader: false },
    ])
  })

  it.each([
    ['auto', ['10.0.0.1 read']],
    ['ipv4', ['10.0.0.1 read']],
    ['ipv6', ['fd00::1 read']],
    ['both', ['10.0.0.1 read', 'fd00::1 read']],
  ] as const)('takes the addresses of family %s', async (family, wanted) => {
    const { names } = setUp(
      { 'A ro.example': ['10.0.0.1'], 'AAAA ro.example': ['fd00::1'], 'A rw.example': 'ENOTFOUND' },
      { family },
    )
    expect(await names()).toEqual(wanted)
  })

  it('takes half an answer for none', async () => {
    const { source } = setUp(
      { 'A ro.example': ['10.0.0.1'], 'AAAA ro.example': 'ESERVFAIL' },
      { family: 'both' },
    )
    await expect(source.read()).rejects.toThrow('ro.example: the DNS server failed')
  })

  it('lets the last answer stand in for a while, and says so', async () => {
    const { source, names, records, wait } = setUp({
      'A ro.example': ['10.0.0.2'],
      'A rw.example': ['10.0.0.1'],
    })
    await names()
    records['A ro.example'] = 'ESERVFAIL'
    wait(900)
    const list = await source.read()
    expect(list.members).toHaveLength(2)
    expect(list.complaint).toBe('ro.example: the DNS server failed')
    wait(200)
    expect(await names()).toEqual(['10.0.0.1 write'])
    records['A ro.example'] = ['10.0.0.3']
    expect(await names()).toEqual(['10.0.0.3 read', '10.0.0.1 write'])
    expect((await source.read()).complaint).toBe(null)
  })

  it('fails as long as nothing was ever found', async () => {
    const { source } = setUp({})
    await expect(source.read()).rejects.toThrow(
      'ro.example: no such name; rw.example: no such name',
    )
  })
})
