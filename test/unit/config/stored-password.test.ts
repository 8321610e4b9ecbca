import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/parse-config.ts'
import { passwordIn } from '../../../src/config/stored-password.ts'

const directory = mkdtempSync(join(tmpdir(), 'pgsplit-passwords-'))
afterAll(() => rmSync(directory, { recursive: true }))

function fileOf(name: string, text: string, mode = 0o600): string {
  const file = join(directory, name)
  writeFileSync(file, text)
  chmodSync(file, mode)
  return file
}

/** The password that the monitor gets by this configuration. */
function monitorPassword(cluster: object, env: Readonly<Record<string, string>> = {}) {
  const config = parseConfig({ clusters: { main: cluster } }, { env, directory })
  return config.clusters[0]?.nodes[0]?.login.password?.reveal()
}

describe('a line of a password file', () => {
  const owner = { host: 'db', port: 5432, database: 'shop', user: 'ada' }

  it.each([
    ['db:5432:shop:ada:secret', 'secret'],
    ['*:*:*:ada:secret', 'secret'],
    ['# db:5432:shop:ada:no\n\n*:5433:*:*:no\ndb:*:shop:*:yes\n*:*:*:*:late', 'yes'],
    ['db:5432:shop:ada:with\\:colon\\\\', 'with:colon\\'],
    ['db:5432:shop:ada:plain:rest', 'plain'],
    ['db:5432:shop:eve:secret', undefined],
    ['db:5432:shop:ada:', undefined],
    ['db:5432', undefined],
  ])('%j gives %j', (text, password) => {
    expect(passwordIn(text, owner)).toBe(password)
  })
})

describe('the password of a URL that has none', () => {
  const file = fileOf('pgpass', 'h:5432:postgres:m:from the file\n')

  it('comes from PGPASSWORD, else from the file that PGPASSFILE names', () => {
    const cluster = { primary: 'postgres://m@h' }
    expect(monitorPassword(cluster)).toBeUndefined()
    expect(monitorPassword(cluster, { PGPASSFILE: file })).toBe('from the file')
    const both = { PGPASSFILE: file, PGPASSWORD: 'from the environment' }
    expect(monitorPassword(cluster, both)).toBe('from the environment')
    expect(monitorPassword({ primary: 'postgres://m:own@h' }, both)).toBe('own')
    expect(monitorPassword({ ...cluster, monitor: { password: 'said' } }, both)).toBe('said')
  })

  it('comes from the home directory, but not from a file that others can read', () => {
    const text = '*:*:*:*:at home'
    fileOf('.pgpass', text)
    expect(monitorPassword({ primary: 'postgres://m@h' }, { HOME: directory })).toBe('at home')
    fileOf('.pgpass', text, 0o644)
    expect(monitorPassword({ primary: 'postgres://m@h' }, { HOME: directory })).toBeUndefined()
  })

  it('comes from a passfile, which must be of use', () => {
    expect(monitorPassword({ primary: 'host=h user=m passfile=pgpass' })).toBe('from the file')
    fileOf('open', '*:*:*:*:x', 0o640)
    expect(() => monitorPassword({ primary: 'host=h user=m passfile=open' })).toThrow(
      `clusters.main.primary: the passfile ${join(directory, 'open')} is of no use: others can read it; run chmod 600`,
    )
  })

  it('comes from a file that an orchestrator has mounted, letter by letter', () => {
    fileOf('monitor', 'p@ss/w:rd\n')
    const url = `postgres://m:\${file:monitor}@h/postgres`
    expect(monitorPassword({ primary: url })).toBe('p@ss/w:rd')
    const monitor = { user: 'm', password: `\${file:${join(directory, 'monitor')}}` }
    expect(monitorPassword({ primary: 'postgres://h', monitor })).toBe('p@ss/w:rd')
    expect(() => monitorPassword({ primary: `postgres://m:\${file:none}@h` })).toThrow(
      `cannot read ${join(directory, 'none')} (ENOENT); it was to hold the value`,
    )
    fileOf('empty', '\n')
    expect(() => monitorPassword({ primary: `postgres://m:\${file:empty}@h` })).toThrow('is empty')
  })
})

describe('what a URL says of its node', () => {
  const nodeOf = (url: string) =>
    parseConfig({ clusters: { main: { primary: url } } }).clusters[0]?.nodes[0]

  it('counts for this node', () => {
    expect(
      nodeOf(
        'host=db hostaddr=10.0.0.7 user=m connect_timeout=3 keepalives=0 channel_binding=require sslmode=require',
      ),
    ).toMatchObject({
      host: '10.0.0.7',
      serverName: 'db',
      connectTimeoutMs: 3000,
      keepAliveIdleMs: null,
      tls: { sslmode: 'require', channelBinding: 'require' },
    })
  })

  it('must fit its place, and itself', () => {
    expect(() => nodeOf('host=h user=m target_session_attrs=standby')).toThrow(
      'target_session_attrs asks for a standby, and this is the place of a primary',
    )
    expect(() => nodeOf('host=h user=m sslmode=disable channel_binding=require')).toThrow(
      'channel_binding=require needs TLS',
    )
  })
})
