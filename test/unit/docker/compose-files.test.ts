import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { lookupFunctionDdl } from '../../../src/auth/role-sql.ts'
import { loadConfigFile } from '../../../src/config/load-config-file.ts'

const path = (name: string): string => new URL(`../../../docker/${name}`, import.meta.url).pathname
const text = (name: string): string => readFileSync(path(name), 'utf8')

describe('the files of docker/', () => {
  it('name in .env.example every variable that compose.yml reads, and no other', () => {
    const read = [...text('compose.yml').matchAll(/\$\{(\w+)/g)].map(([, name]) => name)
    const named = [...text('.env.example').matchAll(/^(?:# )?(\w+)=/gm)].map(([, name]) => name)
    expect(named.length).toBeGreaterThan(4)
    expect(named.toSorted()).toEqual([...new Set(read)].sort())
  })

  it('have a configuration that pgsplit takes', () => {
    const config = loadConfigFile(path('pgsplit.yaml'), { env: { MONITOR_PASSWORD: 'p@ss/word' } })
    const nodes = config.clusters.flatMap(({ nodes }) => nodes)
    expect(nodes.map(({ host }) => host)).toEqual(['primary', 'replica1', 'replica2'])
    expect(config.http?.listen).toEqual([{ host: '::', port: 9187 }])
    expect(nodes[0]?.login.password?.reveal()).toBe('p@ss/word')
  })

  it('create the function that pgsplit looks roles up with', () => {
    expect(text('postgres/init/1-roles.sql')).toContain(lookupFunctionDdl.trim())
  })
})
