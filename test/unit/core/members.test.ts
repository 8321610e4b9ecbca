import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ClusterConfig } from '../../../src/config/config.ts'
import { parseConfig } from '../../../src/config/parse-config.ts'
import { discoveredNode } from '../../../src/config/resolve-discovery.ts'
import { Members, specOf } from '../../../src/core/members.ts'
import { MAX_NODES } from '../../../src/topology/node.ts'
import { member } from '../discovery/lists.ts'

function clusterOf(options: object): ClusterConfig {
  const [cluster] = parseConfig({ clusters: { main: options } }).clusters
  if (cluster === undefined) throw new Error('no cluster')
  return cluster
}

const discovering = clusterOf({
  primary: 'postgres://m@a',
  discovery: { patroni: { urls: ['http://a:8008'] } },
})

function join(members: Members, name: string) {
  const { discovery } = discovering
  if (discovery === null) throw new Error('no discovery')
  return members.join(discoveredNode(member(name), discovery), 'patroni: replica')
}

describe('the members of a cluster', () => {
  it('begin with the nodes of the file, in its order', () => {
    const members = new Members(
      clusterOf({ primary: 'postgres://m@a', replicas: ['host=b user=m'] }),
    )
    expect(members.all.map(specOf)).toMatchObject([
      { id: 'a:5432', index: 0, host: 'a' },
      { id: 'b:5432', index: 1, host: 'b' },
    ])
    expect(members.at(0)).toMatchObject({ source: 'config', leavingSinceMs: null })
    expect(() => members.of(2)).toThrow('has left the cluster')
    // Without discovery nobody joins.
    expect(join(members, 'c')).toBe(null)
  })

  it('get each an index of their own, of which there are 31, and rest before they are used again', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(40), { maxLength: 120 }), (steps) => {
        const members = new Members(discovering)
        let joins = 0
        for (const step of steps) {
          const leaver = members.all[step]
          if (leaver !== undefined && step % 2 === 1) {
            members.remove(leaver.index)
            continue
          }
          const before = members.all.length
          const joined = join(members, `n${joins}`)
          if (before === MAX_NODES) expect(joined).toBe(null)
          if (joined === null) continue
          expect(joined.index).toBeGreaterThanOrEqual(0)
          expect(joined.index).toBeLessThan(MAX_NODES)
          expect(members.all.filter(({ index }) => index === joined.index)).toEqual([joined])
          joins += 1
        }
      }),
    )
    const members = new Members(discovering)
    const first = join(members, 'a')?.index ?? 0
    for (let i = 0; i < MAX_NODES - 3; i++) {
      members.remove(join(members, 'b')?.index ?? 0)
    }
    members.remove(first)
    expect(join(members, 'c')?.index).not.toBe(first)
  })

  it('have the TLS of the name that their certificate must have', () => {
    const { discovery, ...rest } = clusterOf({
      discovery: { dns: { read: 'ro.example' } },
      monitor: { user: 'm' },
      tls: { sslmode: 'require' },
    })
    if (discovery === null) throw new Error('no discovery')
    const members = new Members({ ...rest, discovery })
    const place = member('10.0.0.1', { serverName: 'ro.example' })
    const joined = members.join(discoveredNode(place, discovery), 'dns: read')
    expect(joined?.tls.connectOptions('10.0.0.1')).toMatchObject({ servername: 'ro.example' })
  })
})
