import { describe, expect, it } from 'vitest'
import { pickAccount } from '../../../src/embedded/account.ts'

const root = 'root:x:0:0:root:/root:/bin/sh'
const bin = 'bin:x:2:2:bin:/bin:/usr/sbin/nologin'
const nobody = 'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin'
const postgres = 'postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash'

describe('the account that the servers of root run as', () => {
  it.each([
    ['postgres', [root, bin, nobody, postgres]],
    ['nobody', [root, bin, nobody]],
    ['bin', [root, bin, '']],
  ])('is %s when that is the best there is', (name, lines) => {
    expect(pickAccount(lines.join('\n'))?.name).toBe(name)
  })

  it('is none when there is only root, or nothing that can be read', () => {
    expect(pickAccount(`${root}\n`)).toBeUndefined()
    expect(pickAccount('\n:::\nx\n')).toBeUndefined()
  })

  it('has the numbers of its line', () => {
    expect(pickAccount(postgres)).toEqual({ name: 'postgres', uid: 101, gid: 104 })
  })
})
