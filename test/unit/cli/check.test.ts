import { describe, expect, it } from 'vitest'
import { describeNode, faults, outdated } from '../../../src/cli/check.ts'
import type { NodeFacts } from '../../../src/cli/inspect-node.ts'
import type { ClusterConfig, NodeConfig } from '../../../src/config/config.ts'
import { parseConfig } from '../../../src/config/parse-config.ts'

const well: NodeFacts = {
  isStandby: false,
  version: '18.1',
  timeline: 1,
  systemIdentifier: '7',
  maxConnections: 100,
  walPosition: 100n,
  lookupFault: null,
  traits: {
    settings: new Map(),
    own: new Map(),
    superuserOnly: new Set(),
    customs: new Set(),
    facts: new Map(),
  },
}

function clusterOf(options: object = {}): {
  cluster: ClusterConfig
  primary: NodeConfig
  replica: NodeConfig
} {
  const main = { primary: 'postgres://m@a', replicas: ['postgres://m@b'], ...options }
  const [cluster] = parseConfig({ clusters: { main } }).clusters
  const [primary, replica] = cluster?.nodes ?? []
  if (cluster === undefined || primary === undefined || replica === undefined) throw new Error()
  return { cluster, primary, replica }
}

describe('check finds fault with', () => {
  const { cluster, primary, replica } = clusterOf()
  const standby = { ...well, isStandby: true }

  it('nothing when all is as the configuration says', () => {
    expect(faults(well, primary, cluster, well)).toEqual([])
    expect(faults(standby, replica, cluster, well)).toEqual([])
  })

  it('nodes without a primary, or with two', () => {
    expect(faults(standby, primary, cluster, undefined)).toEqual([
      'is a standby, and no node is a primary; promote one, or name the primary',
    ])
    expect(faults({ ...well }, replica, cluster, well)).toEqual([
      'is a second primary; let it follow the primary',
    ])
  })

  it('no roles that have moved on since the file was written, and tells of them', () => {
    expect(faults(standby, primary, cluster, well)).toEqual([])
    expect(faults(well, replica, cluster, well)).toEqual([])
    expect(outdated(standby, primary, cluster, well)).toEqual([
      'the file has it as the primary, which another node is now; pgsplit goes by what the nodes say',
    ])
    expect(outdated(well, replica, cluster, well)).toEqual([
      'is the primary now, the file has it under replicas; pgsplit goes by what the nodes say',
    ])
    expect(outdated(well, primary, cluster, well)).toEqual([])
    expect(outdated(standby, replica, cluster, well)).toEqual([])
  })

  it('a replica of another cluster', () => {
    const [fault] = faults({ ...standby, systemIdentifier: '8' }, replica, cluster, well)
    expect(fault).toContain('belongs to another cluster')
  })

  it('a former primary, and a replica that follows it', () => {
    const newer = { ...well, timeline: 2 }
    expect(faults({ ...standby, receivedTimeline: 1 }, replica, cluster, newer)).toEqual([
      'strayed: it streams timeline 1, the primary is on 2; let it follow the primary, or rebuild it',
    ])
    expect(faults(well, primary, cluster, newer)).toEqual([
      'fenced: a former primary on timeline 1, the cluster is on 2; rebuild it',
    ])
    // Its control file may be behind; what it streams is not known without pg_monitor.
    expect(faults({ ...standby, receivedTimeline: null }, replica, cluster, newer)).toEqual([])
  })

  it('a monitor that may not read verifiers', () => {
    const lookupFault = "role m can't read pg_authid"
    const facts = { ...well, lookupFault }
    expect(faults(facts, primary, cluster, facts)).toEqual([lookupFault])
    // Only the primary is asked.
    expect(faults({ ...standby, lookupFault }, replica, cluster, well)).toEqual([])
  })

  it('a pool that the node can never fill', () => {
    const facts = { ...well, maxConnections: 10 }
    const [fault] = faults(facts, primary, cluster, facts)
    expect(fault).toBe('pool.size 20 is more than its max_connections 10; lower pool.size')
  })
})

it('check tells where a replica is set up otherwise than the primary', () => {
  const traits = (datestyle: string, icu: string) => ({
    settings: new Map([
      ['datestyle', datestyle],
      ['timezone', 'UTC'],
    ]),
    own: new Map<string, string>(),
    superuserOnly: new Set<string>(),
    customs: new Set<string>(),
    facts: new Map([['ICU collations', icu]]),
  })
  const primary = { ...well, traits: traits('ISO, MDY', '153.120') }
  const standby = { ...well, isStandby: true }
  expect(describeNode({ ...standby, traits: traits('ISO, MDY', '153.120') }, primary)).toBe(
    'replica, PostgreSQL 18.1, timeline 1, up to date',
  )
  expect(describeNode({ ...standby, traits: traits('German', '153.121') }, primary)).toBe(
    "replica, PostgreSQL 18.1, timeline 1, up to date, given the primary's datestyle, " +
      'may answer otherwise than the primary (ICU collations: 153.121 here, 153.120 on the primary)',
  )
})
