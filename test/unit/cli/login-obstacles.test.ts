import { expect, it } from 'vitest'
import type { HbaRule } from '../../../src/auth/hba-file.ts'
import { hbaObstacle, type NodeHba } from '../../../src/cli/login-obstacles.ts'

/** Lines as in the file: type, databases, users, address, method. */
function hba(lines: readonly string[], isTls = false): NodeHba {
  const rules = lines.map((line): HbaRule => {
    const [type = '', databases = '', users = '', address = '', method = ''] = line.split(/\s+/)
    return {
      type,
      databases: databases.split(','),
      users: users.split(','),
      address,
      netmask: address.includes('.') ? '255.255.255.255' : null,
      method,
    }
  })
  return { rules, address: '10.0.0.1', isTls }
}

const open = hba(['host all all all scram-sha-256'])

it.each([
  ['the same lines', open, open, null],
  ['a user rejected', open, hba(['host all web all reject', 'host all all all md5']), 'user web'],
  [
    'a user rejected at one database',
    open,
    hba(['host shop web all reject', 'host all all all md5']),
    'user web at database shop',
  ],
  [
    'no line but for one user',
    open,
    hba(['host all monitor all md5']),
    'users without a line of their own',
  ],
  [
    'another address',
    open,
    hba(['host all all 10.0.0.2 md5']),
    'users without a line of their own',
  ],
  ['a line for TLS only', open, hba(['hostssl all all all md5']), 'users without'],
  ['a line for TLS only, over TLS', open, hba(['hostssl all all all md5'], true), null],
  // Whom the primary refuses as well, nobody misses.
  [
    'both rejecting',
    hba(['host all web all reject', 'host all all all md5']),
    hba(['host all web all reject', 'host all all all md5']),
    null,
  ],
  // Who is a member, nobody knows.
  ['a group', open, hba(['host all +staff all reject', 'host all all all md5']), null],
  [
    'lines for replication',
    open,
    hba(['host replication rep all md5', ...['host all all all md5']]),
    null,
  ],
])('tells whom a replica refuses: %s', (_, primary, replica, expected) => {
  const found = hbaObstacle(primary, replica)
  if (expected === null) expect(found).toBeNull()
  else expect(found).toContain(`(${expected}`)
})

it('names a few of many', () => {
  const users = Array.from({ length: 9 }, (_, i) => `u${i}`)
  const replica = hba([`host all ${users.join(',')} all reject`, 'host all all all md5'])
  expect(hbaObstacle(open, replica)).toContain('(user u0; user u1; user u2 and 6 more)')
})
