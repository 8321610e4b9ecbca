import { describe, expect, it } from 'vitest'
import { checkCommand, type Inspect } from '../../../src/cli/check.ts'
import type { Discovered } from '../../../src/cli/cluster-nodes.ts'
import type { CommandIo } from '../../../src/cli/command-io.ts'
import type { ClusterConfig, DiscoveryConfig } from '../../../src/config/config.ts'
import { discoveredNode } from '../../../src/config/resolve-discovery.ts'
import { member } from '../discovery/lists.ts'

const facts = (isStandby: boolean) => ({
  isStandby,
  version: '18.1',
  timeline: 2,
  systemIdentifier: '7',
  maxConnections: 100,
  walPosition: 100n,
  lookupFault: null,
})

/** Runs check with a file that names no node; gives what it printed. */
async function check(
  found: Partial<Discovered>,
  names: readonly string[],
  inspect: Inspect,
): Promise<string[]> {
  const printed: string[] = []
  const io: CommandIo = {
    env: {},
    stdin: process.stdin,
    print: (line) => printed.push(line),
    complain: (line) => printed.push(`! ${line}`),
    onStopSignal: () => () => {},
    onReloadSignal: () => () => {},
  }
  const discover = async ({ discovery }: ClusterConfig) => ({
    kind: 'patroni',
    nodes: names.map((name) => discoveredNode(member(name), discovery as DiscoveryConfig)),
    found: names.map((name) => `${name} (running)`),
    complaint: null,
    ...found,
  })
  const file = new URL('discovery.yaml', import.meta.url).pathname
  const command = checkCommand(io, inspect, discover).exitOverride()
  await command.parseAsync(['--config', file], { from: 'user' }).catch(() => {})
  return printed
}

describe('check of a cluster with discovery', () => {
  it('tells what was found, and tries every node of it', async () => {
    const inspect: Inspect = async ({ name }) => facts(name !== 'b')
    expect(await check({}, ['a', 'b'], inspect)).toEqual([
      'ok    main  patroni  a (running), b (running)',
      'ok    main  a  a:5432  replica, PostgreSQL 18.1, timeline 2, up to date',
      'ok    main  b  b:5432  primary, PostgreSQL 18.1, timeline 2',
      'the configuration is valid; nodes that are well: 2',
    ])
  })

  it('finds fault with a source that does not answer, and with nodes without a primary', async () => {
    const inspect: Inspect = async () => facts(true)
    expect(await check({ complaint: 'no Patroni answers' }, [], inspect)).toEqual([
      'FAIL  main  patroni  no Patroni answers',
      '! nodes with problems: 0 of 0',
    ])
    const [first] = await check({}, ['a'], inspect)
    expect(first).toBe('FAIL  main  patroni  a (running); no node that answers is a primary')
  })
})
