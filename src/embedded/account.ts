import { readFileSync } from 'node:fs'
import { EmbeddedError } from './embedded-error.ts'

/** The system account that the servers run as; `undefined` stands for the account of this process. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/**
 * PostgreSQL refuses to run as root, so root's servers run as `postgres`, else `nobody`, else any
 * other account. It must be listed in /etc/passwd, because initdb looks its own name up there.
 */
export function pickAccount(passwd: string): Account | undefined {
  const accounts = passwd
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter(({ name, uid, gid }) => name !== '' && uid > 0 && gid > 0)
  const named = (wanted: string) => accounts.find(({ name }) => name === wanted)
  return named('postgres') ?? named('nobody') ?? accounts[0]
}

/** The account to drop to, or `undefined` when this process isn't root. Throws EmbeddedError. */
export function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  const account = pickAccount(readFileSync('/etc/passwd', 'utf8'))
  if (account === undefined) {
    throw new EmbeddedError(
      'PostgreSQL does not run as root and /etc/passwd has no other account; add one (useradd postgres) or run as a normal user',
    )
  }
  return account
}
