import { describe, expect, it } from 'vitest'
import { admissionRefusal, identityOf } from '../../../src/auth/identity.ts'
import { arrayText } from '../../../src/auth/identity-sql.ts'

const row = {
  standby: 'false',
  role: '16400',
  is_superuser: 'false',
  can_login: 'true',
  role_limit: '-1',
  is_expired: 'false',
  database: '16500',
  allows_connections: 'true',
  database_limit: '-1',
  may_connect: 'true',
  digest: 'd',
}

const refusalOf = (change: Readonly<Record<string, string | null>>) => {
  const refusal = admissionRefusal(identityOf({ ...row, ...change }), {
    role: 'app',
    database: 'shop',
  })
  return refusal === null ? null : `${refusal.sqlstate} ${refusal.message}`
}

describe('admissionRefusal', () => {
  it.each([
    [{}, null],
    [{ is_expired: 'true' }, null],
    [{ role: null }, '28000 role "app" does not exist'],
    [{ can_login: 'false' }, '28000 role "app" is not permitted to log in'],
    [{ role_limit: '0' }, '53300 too many connections for role "app"'],
    [{ role_limit: '0', is_superuser: 'true' }, null],
    [{ role_limit: '1' }, null],
    [{ database: null }, '3D000 database "shop" does not exist'],
    [
      { allows_connections: 'false' },
      '55000 database "shop" is not currently accepting connections',
    ],
    [{ database_limit: '-2' }, '55000 cannot connect to invalid database "shop"'],
    [{ may_connect: 'false' }, '42501 permission denied for database "shop"'],
    [{ database_limit: '0' }, '53300 too many connections for database "shop"'],
    [{ database_limit: '0', is_superuser: 'true' }, null],
    [{ can_login: 'false', database: null }, '28000 role "app" is not permitted to log in'],
  ])('%j → %s', (change, refusal) => {
    expect(refusalOf(change)).toBe(refusal)
  })
})

it('arrayText quotes what an array literal would take for its own', () => {
  expect(arrayText(['a', 'b"c', 'd\\e', '{,}', '', 'NULL'])).toBe(
    '{"a","b\\"c","d\\\\e","{,}","","NULL"}',
  )
})
