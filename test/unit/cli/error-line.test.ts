import { describe, expect, it } from 'vitest'
import { errorLine } from '../../../src/cli/error-line.ts'
import { ConfigError, PgSplitError } from '../../../src/errors.ts'

const system = (code: string, facts: object = {}) =>
  Object.assign(new Error(`connect ${code} somewhere`), { code, ...facts })

describe('an error as one line', () => {
  it.each([
    [new ConfigError('listen', 'expected host:port'), 'listen: expected host:port'],
    [
      new PgSplitError({ sqlstate: '57P03', message: 'no primary', hint: 'Start it.' }),
      'no primary; Start it.',
    ],
    [
      system('ECONNREFUSED', { address: '::1', port: 5432 }),
      '[::1]:5432: connection refused; is PostgreSQL running there and listening on that address?',
    ],
    [
      new AggregateError([system('ECONNREFUSED', { address: '::1', port: 1 })], ''),
      '[::1]:1: connection refused; is PostgreSQL running there and listening on that address?',
    ],
    [
      system('ENOTFOUND', { hostname: 'db.example' }),
      'db.example: the host name is not known; check its spelling and the DNS',
    ],
    [
      Object.assign(new Error('password authentication failed for user "m"'), { code: '28P01' }),
      'password authentication failed for user "m": wrong user or password; check the connection URL',
    ],
    [new Error('first\n  second'), 'first second'],
    [new Error(''), 'Error'],
    ['text', 'text'],
    [undefined, 'undefined'],
  ])('%s', (error, line) => {
    expect(errorLine(error)).toBe(line)
  })

  it('has no credentials', () => {
    expect(errorLine(new Error('postgres://u:hunter2@h failed'))).not.toContain('hunter2')
  })
})
