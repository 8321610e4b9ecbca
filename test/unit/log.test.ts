import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigError, PgSplitError } from '../../src/errors.ts'
import { createLogger, type LogOptions } from '../../src/log.ts'
import { redact } from '../../src/redact.ts'

function logged(options: Partial<LogOptions>, record: object, text: string): string {
  const lines: string[] = []
  const target = { write: (line: string) => void lines.push(line) }
  const logger = createLogger({ level: 'info', format: 'json', ...options }, target)
  logger.info(record, text)
  return lines.join('')
}

const verifier = `SCRAM-SHA-256$4096:c2FsdA==$${'a'.repeat(43)}=:${'b'.repeat(43)}=`
const key = '-----BEGIN PRIVATE KEY-----\nhunter2+/=\n-----END PRIVATE KEY-----'

describe('the log', () => {
  it('is one JSON object per line, with the level as a word and the ids of the event', () => {
    const line = logged({}, { event: 'node_down', node: 'r1', reason: 'refused' }, 'r1 is down')
    expect(line.endsWith('}\n')).toBe(true)
    expect(JSON.parse(line)).toMatchObject({
      level: 'info',
      event: 'node_down',
      node: 'r1',
      reason: 'refused',
      msg: 'r1 is down',
    })
  })

  it('has lines for people, on which nobody can forge a second line', () => {
    const record = { event: 'login_failed', user: 'a\n12:00 INFO  all is well\u001b[2J' }
    const line = logged({ format: 'pretty' }, record, 'log-in failed')
    expect(line).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}log-in failed \(user=a\\u000a12:00/)
    expect(line.split('\n')).toHaveLength(2)
    expect(line).not.toContain('\u001b')
  })

  it('says nothing twice to people, and counts in whole milliseconds', () => {
    const record = {
      event: 'node-lagging',
      node: 'r1',
      lagMs: 10437.225402000004,
      detail: 'is late',
    }
    expect(logged({ format: 'pretty' }, record, 'r1: is late')).toMatch(
      / INFO {2}r1: is late \(node=r1 lagMs=10437\)\n$/,
    )
    expect(JSON.parse(logged({}, record, 'r1: is late'))).toMatchObject({
      lagMs: 10437,
      detail: 'is late',
    })
  })

  it('says of an error its message and code, without its stack', () => {
    const err = new PgSplitError({ sqlstate: '57P03', message: 'no replica' })
    expect(JSON.parse(logged({}, { err }, 'x')).err).toEqual({
      type: 'PgSplitError',
      message: 'no replica',
      code: '57P03',
    })
  })

  it('is silent below its level', () => {
    expect(logged({ level: 'warn' }, {}, 'x')).toBe('')
  })

  it.each([
    { password: 'hunter2' },
    { user: { name: 'a', serverPassword: 'hunter2' } },
    { users: [{ verifier: 'hunter2' }] },
    { clientKey: 'hunter2', proof: 'hunter2' },
    { url: 'postgres://u:hunter2@h/d' },
    { dsn: "host=h password='hunter2 x' user=u" },
    { text: 'password=hunter2' },
    { pem: key },
    { err: new ConfigError('a', "can't connect to postgres://u:hunter2@h") },
    { password: 'a"hunter2' },
  ])('hides the secret of %j in both formats', (record) => {
    expect(logged({}, record, 'x')).not.toContain('hunter2')
    expect(logged({ format: 'pretty' }, record, 'x')).not.toContain('hunter2')
  })

  it('hides verifiers wherever they stand', () => {
    const md5 = `md5${'0123456789abcdef'.repeat(2)}`
    expect(redact(`${verifier} ${md5}`)).toBe('SCRAM-SHA-256$[redacted] md5[redacted]')
  })

  it('leaves other texts alone', () => {
    const text = 'wrong password for user "a"; write postgres://user:password@host:5432/db'
    expect(redact(text)).toBe(text)
  })

  it('stays valid JSON whatever it hides', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (password, text) => {
        const line = logged({}, { password, text: `password=${text}` }, `postgres://u:${text}@h`)
        expect(JSON.parse(line)).toMatchObject({ level: 'info', password: '[redacted]' })
      }),
    )
  })
})
