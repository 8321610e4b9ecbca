import { describe, expect, it } from 'vitest'
import { type HbaRule, parseHbaRules } from '../../../src/auth/hba-file.ts'
import {
  type AccessFacts,
  type AccessRule,
  rulesRefusal,
} from '../../../src/client/access-rules.ts'
import { noGrants } from '../../../src/client/grants.ts'
import { hbaRulesRefusal } from '../../../src/client/hba-rules.ts'
import { parseRange } from '../../../src/net/address-range.ts'

const facts: AccessFacts = {
  user: 'app',
  database: 'shop',
  address: '10.1.2.3',
  isPhysical: false,
  isTls: false,
  hasCertificate: false,
  application: '',
}
const all: AccessRule = {
  users: null,
  databases: null,
  addresses: null,
  applications: null,
  grants: noGrants,
  tls: 'any',
  method: 'allow',
}
const range = (text: string) => [parseRange(text)].filter((found) => found !== null)
const saysOf = (rules: readonly AccessRule[], change: Partial<AccessFacts> = {}) =>
  rulesRefusal(rules, { ...facts, ...change })?.message ?? null

describe('auth.rules', () => {
  it('lets in whom the first rule that matches allows, and nobody that none matches', () => {
    const rules: AccessRule[] = [
      { ...all, users: ['app'], addresses: range('10.9.0.0/16'), method: 'reject' },
      { ...all, users: ['app', 'other'], databases: ['shop'] },
    ]
    expect(saysOf(rules)).toBeNull()
    expect(saysOf(rules, { address: '10.9.1.1' })).toBe(
      'auth.rules rejects connection for host "10.9.1.1", user "app", database "shop", no encryption',
    )
    expect(saysOf(rules, { user: 'third', isTls: true })).toBe(
      'no auth.rules entry for host "10.1.2.3", user "third", database "shop", SSL encryption',
    )
    expect(saysOf(rules, { database: 'other' })).toContain('no auth.rules entry')
    expect(saysOf([])).toContain('no auth.rules entry')
    expect(rulesRefusal(rules, { ...facts, user: 'x' })).toMatchObject({
      sqlstate: '28000',
      severity: 'FATAL',
    })
  })

  it('tells clients with TLS and with a certificate from those without', () => {
    const required: AccessRule[] = [{ ...all, tls: 'required' }]
    expect(saysOf(required)).not.toBeNull()
    expect(saysOf(required, { isTls: true })).toBeNull()
    const certificate: AccessRule[] = [{ ...all, tls: 'certificate' }]
    expect(saysOf(certificate, { isTls: true })).not.toBeNull()
    expect(saysOf(certificate, { isTls: true, hasCertificate: true })).toBeNull()
  })

  it('takes physical replication for a database of that name, which all is not', () => {
    const physical = { isPhysical: true, database: 'app' }
    expect(saysOf([all], physical)).not.toBeNull()
    expect(saysOf([{ ...all, databases: ['app'] }], physical)).not.toBeNull()
    expect(saysOf([{ ...all, databases: ['replication'] }], physical)).toBeNull()
    const lines = 'hostssl all all all md5\nhost replication all all md5'
    expect(hbaSays(lines)).toContain('no pg_hba.conf entry')
    expect(hbaSays(lines, physical)).toBeNull()
  })

  it('matches an address that can not be read only where all are meant', () => {
    expect(saysOf([{ ...all, addresses: range('::/0') }], { address: 'pipe' })).not.toBeNull()
    expect(saysOf([all], { address: 'pipe' })).toBeNull()
  })
})

/** Lines as in pg_hba.conf, addresses with a mask. */
function hba(text: string): HbaRule[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [type = '', databases = '', users = '', address = '', method = ''] = line
        .trim()
        .split(/\s+/)
      const [base = '', netmask = null] = address.split('/')
      return {
        type,
        databases: databases.split(','),
        users: users.split(','),
        address: base,
        netmask,
        method,
      }
    })
}

const pgsplit = '10.0.0.9'
const hbaSays = (text: string, change: Partial<AccessFacts> = {}) =>
  hbaRulesRefusal(hba(text), { ...facts, ...change }, pgsplit)?.message ?? null
const rejects =
  'pg_hba.conf rejects connection for host "10.1.2.3", user "app", database "shop", no encryption'
const noEntry =
  'no pg_hba.conf entry for host "10.1.2.3", user "app", database "shop", no encryption'

describe('pg_hba.conf', () => {
  it.each([
    ['a line that lets in', 'host all all all scram-sha-256', null],
    ['a line for TLS only', 'hostssl all app all scram-sha-256', noEntry],
    [
      'a line for TLS only, and one that rejects the rest',
      'hostssl all app all md5\nhost all all all reject',
      rejects,
    ],
    ['both kinds of lines', 'hostssl all app all cert\nhost all all all md5', null],
    [
      'what rejects clients without TLS',
      'hostnossl all all all reject\nhost all all all md5',
      rejects,
    ],
    ['what rejects the user', 'host all app all reject\nhost all all all md5', rejects],
    [
      'what rejects the network',
      'host all all 10.1.0.0/255.255.0.0 reject\nhost all all all md5',
      rejects,
    ],
    ['a line for pgsplit alone', 'host all all 10.0.0.9/255.255.255.255 md5', null],
    [
      'the same with a last word',
      'host all all 10.0.0.9/255.255.255.255 md5\nhost all all 0.0.0.0/0.0.0.0 reject',
      null,
    ],
    ['a line for pgsplit with TLS', 'hostssl all app 10.0.0.9/255.255.255.255 md5', noEntry],
    [
      'a line for pgsplit with TLS, others without',
      'hostssl all b 10.0.0.9/255.255.255.255 md5\nhost all app 10.0.0.9/255.255.255.255 md5',
      null,
    ],
    ['another database', 'hostssl other all all md5\nhost all all all md5', null],
    ['sockets', 'local all app reject\nhost all all all md5', null],
    ['a group that it may be in', 'hostssl all +staff all md5\nhost all all all reject', null],
    ['a pattern', 'host all /^a all reject\nhost all all all md5', null],
    ['the name of a host', 'host all all db.example reject\nhost all all all md5', null],
    [
      'a group, but another database',
      'host other +staff all reject\nhostssl all app all md5',
      noEntry,
    ],
    ['sameuser', 'hostssl sameuser all all md5\nhost all all all md5', null],
  ])('%s', (_what, text, message) => {
    expect(hbaSays(text)).toBe(message)
    if (message === noEntry) expect(hbaSays(text, { isTls: true })).toBeNull()
  })

  it('is not followed where it has a mistake', () => {
    const row = {
      type: 'host',
      database: ['all'],
      user_name: ['all'],
      address: 'all',
      netmask: null,
    }
    expect(parseHbaRules(JSON.stringify([{ ...row, auth_method: 'md5', error: null }]))).toEqual([
      {
        type: 'host',
        databases: ['all'],
        users: ['all'],
        address: 'all',
        netmask: null,
        method: 'md5',
      },
    ])
    expect(parseHbaRules(JSON.stringify([{ error: 'invalid authentication method' }]))).toBeNull()
  })
})
