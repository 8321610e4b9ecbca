import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Draft, draftConfig } from '../../../src/cli/draft-config.ts'
import { configFromFlags } from '../../../src/config/config-from-flags.ts'
import { loadConfigFile } from '../../../src/config/load-config-file.ts'

function draftOf(urls: readonly string[], more: Partial<Draft> = {}): string {
  const [primary = '', ...replica] = urls
  const [cluster] = configFromFlags({ primary, replica }).clusters
  const [node, ...replicas] = cluster?.nodes ?? []
  if (node === undefined) throw new Error('no node')
  return draftConfig({
    primary: node,
    replicas,
    unreachable: [],
    password: { variable: 'MONITOR_PASSWORD' },
    lookupFault: null,
    listen: '127.0.0.1:6432',
    ...more,
  })
}

const read = (text: string, password: string) =>
  loadConfigFile('pgsplit.yaml', { env: { MONITOR_PASSWORD: password }, readFile: () => text })

describe('a drafted file', () => {
  it('gives the nodes that it was made from', () => {
    const text = draftOf(
      ['postgres://m:hunter2@[::1]:5433/app?sslmode=require', 'postgres://m:hunter2@b:5434/app'],
      { unreachable: ['r9 streams from 10.0.0.9, but port 5432: no answer'], listen: '*:6432' },
    )
    expect(text).not.toContain('hunter2')
    expect(text).toContain('# not reached: r9 streams from 10.0.0.9')
    const [cluster] = read(text, 'hunter2').clusters
    expect(cluster?.nodes).toMatchObject([
      { role: 'primary', host: '::1', port: 5433, login: { user: 'm', database: 'app' } },
      { role: 'replica', host: 'b', port: 5434 },
    ])
    expect(cluster?.nodes[0]?.tls.sslmode).toBe('require')
    expect(cluster?.nodes[0]?.login.password?.reveal()).toBe('hunter2')
  })

  it('says so when it contains the password, or when nobody could log in', () => {
    const urls = ['postgres://m:pw@a']
    expect(draftOf(urls, { password: { text: 'pw' } })).toContain('in plain text')
    expect(draftOf(urls, { lookupFault: 'no function' })).toContain('# no function')
    expect(read(draftOf(urls, { lookupFault: 'a\nb: c' }), 'x').clusters).toHaveLength(1)
  })

  it('is read as it was meant, whatever user, password and database are called', () => {
    const word = fc
      .string({ minLength: 1, maxLength: 12, unit: 'binary' })
      .filter(
        (text) => text.isWellFormed() && !text.includes('\0') && Buffer.byteLength(text) <= 63,
      )
    fc.assert(
      fc.property(word, word, word, fc.boolean(), (user, password, database, isPlain) => {
        const [u, p, d] = [user, password, database].map(encodeURIComponent)
        const text = draftOf([`postgres://${u}:${p}@h/${d}`.replaceAll('${', '$${')], {
          password: isPlain ? { text: password } : { variable: 'MONITOR_PASSWORD' },
        })
        const login = read(text, password).clusters[0]?.nodes[0]?.login
        expect(login).toMatchObject({ user, database })
        expect(login?.password?.reveal()).toBe(password)
      }),
    )
  })
})
