import { describe, expect, it } from 'vitest'
import type { Config } from '../../../src/config/config.ts'
import { configChanges, needsRestart } from '../../../src/config/config-changes.ts'
import { parseConfig } from '../../../src/config/parse-config.ts'

type Section = Readonly<Record<string, unknown>>

const primary = 'postgres://m:one@h1/postgres'

function config(main: Section = {}, top: Section = {}): Config {
  return parseConfig({ clusters: { main: { primary, ...main } }, ...top })
}

describe('what a reload changes', () => {
  it('is nothing when nothing has changed', () => {
    const { changed, needsRestart: restart } = configChanges(config(), config())
    expect(changed).toEqual([])
    expect(restart).toEqual([])
  })

  it('is told by the paths of SHOW CONFIG, never by values', () => {
    const next = config(
      { primary: 'postgres://m:two@h1/postgres', pool: { size: 7 }, replicas: ['postgres://m@h2'] },
      { log: { level: 'debug' } },
    )
    const { config: merged, changed, needsRestart: restart } = configChanges(config(), next)
    expect(changed).toContain('clusters.main.nodes.h1:5432.login.password')
    expect(changed).toContain('clusters.main.pool.size')
    expect(changed).toContain('clusters.main.nodes.h2:5432.host')
    expect(changed).toContain('log.level')
    expect(changed.join()).not.toMatch(/one|two/)
    expect(restart).toEqual([])
    expect(merged).toEqual(next)
  })

  it('leaves out what needs a restart, and keeps that as it was', () => {
    const next = config(
      { pool: { size: 7 } },
      { listen: '127.0.0.1:7000', log: { format: 'pretty' } },
    )
    const { config: merged, changed, needsRestart: restart } = configChanges(config(), next)
    expect(restart).toEqual(['listen', 'log.format'])
    expect(changed).toEqual(['clusters.main.pool.size'])
    expect(merged.listen).toEqual(config().listen)
    expect(merged.log.format).toBe('json')
    expect(merged.clusters[0]?.pool.size).toBe(7)
  })

  it('adds and removes no cluster', () => {
    const two = parseConfig({
      clusters: {
        other: { primary: 'postgres://m@h9', databases: ['o'] },
        main: { primary, databases: ['m'] },
      },
    })
    const added = configChanges(config(), two)
    expect(added.needsRestart).toEqual(['clusters.other'])
    expect(added.config.clusters.map(({ name }) => name)).toEqual(['main'])
    const removed = configChanges(two, config())
    expect(removed.needsRestart).toEqual(['clusters.other'])
    expect(removed.config.clusters.map(({ name }) => name)).toEqual(['other', 'main'])
  })

  it('keeps discovered clusters at their source and their nodes', () => {
    const dns = (read: string) => ({
      primary: undefined,
      discovery: { dns: { read, write: 'write.local' } },
      monitor: { user: 'm' },
    })
    const { config: merged, needsRestart: restart } = configChanges(
      config(dns('read.local')),
      config({ ...dns('other.local'), routing: { maxLag: '3s' } }),
    )
    expect(restart).toEqual(['clusters.main.discovery'])
    expect(merged.clusters[0]?.discovery).toEqual(config(dns('read.local')).clusters[0]?.discovery)
    expect(merged.clusters[0]?.routing.maxLagMs).toBe(3000)
  })

  it('is what SHOW CONFIG calls changeable', () => {
    expect(needsRestart('clusters.main.pool.size')).toBe(false)
    expect(needsRestart('listen.0.port')).toBe(true)
    expect(needsRestart('clusters.main.discovery.intervalMs')).toBe(true)
    expect(needsRestart('log.level')).toBe(false)
  })
})
