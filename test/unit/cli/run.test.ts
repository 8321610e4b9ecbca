import { describe, expect, it } from 'vitest'
import { FakeProcess } from './fake-io.ts'

const primary = ['--primary', 'postgres://m:hunter2@h']

describe('the command line', () => {
  it('prints its version', async () => {
    const process = new FakeProcess()
    expect(await process.run(['--version'])).toBe(0)
    expect(process.out[0]).toMatch(/^\d+\.\d+\.\d+$/)
  })

  it('prints help for itself and for each command', async () => {
    for (const command of ['serve', 'demo', 'check', 'explain', 'config']) {
      const process = new FakeProcess()
      expect(await process.run([command, '--help'])).toBe(0)
      expect(process.out.join('\n')).toContain(`pgsplit ${command}`)
    }
  })

  it.each([
    [['bogus'], "unknown command 'bogus'"],
    [['serve', '--primray', 'x'], "unknown option '--primray' (Did you mean --primary?)"],
    [['serve', '--primary'], "option '--primary <url>' argument missing"],
  ])('%j is no command line: code 2 and one line', async (argv, line) => {
    const process = new FakeProcess()
    expect(await process.run(argv)).toBe(2)
    expect(process.err).toEqual([line])
  })

  it.each([
    [
      ['serve', ...primary, '--listen', 'localhost:99999'],
      '--listen 1: expected host:port, for example 127.0.0.1:6432 or [::1]:6432, got "localhost:99999"',
    ],
    [
      ['serve', ...primary, '--listen', '::1:34100'],
      '--listen 1: expected host:port, for example 127.0.0.1:6432 or [::1]:6432, got "::1:34100"',
    ],
    [
      ['serve'],
      'no primary; give --primary postgres://user:password@host/postgres or --config pgsplit.yaml',
    ],
    [
      ['serve', '--primary', 'postgres://u:hunter2@h?x=1'],
      '--primary: unknown parameter "x"; known are host, port, user, password, dbname, sslmode, sslrootcert, sslcert, sslkey, sslnegotiation …',
    ],
    [['serve', '--config', '/none.yaml'], "can't read /none.yaml: no such file"],
    [
      ['serve', ...primary, '--tls-cert', '/none.pem', '--tls-key', 'k'],
      '--tls-cert: cannot read /none.pem (ENOENT)',
    ],
    [['explain', ...primary], 'give either a statement or --json -'],
    [
      ['explain', ...primary, '--json', 'f'],
      '--json: reads standard input only; write --json - < statements',
    ],
    [['demo', '--replicas', '99'], '--replicas: expected a whole number from 0 to 15'],
    [['demo', '--for', 'ever'], '--for: expected a duration such as 15s or 2m'],
    [['demo', '--listen', 'x'], '--listen: expected host:port, for example 127.0.0.1:6432'],
  ])('%j ends with code 1 and one line', async (argv, line) => {
    const process = new FakeProcess()
    expect(await process.run(argv)).toBe(1)
    expect(process.err).toEqual([line])
    expect(process.out).toEqual([])
  })

  it('tells an unexpected error in one line without credentials, and its stack on request', async () => {
    const start = async (): Promise<never> => {
      throw new Error('cannot use postgres://m:hunter2@h\nsecond line')
    }
    const process = new FakeProcess({ start })
    expect(await process.run(['serve', ...primary])).toBe(1)
    expect(process.err).toEqual(['cannot use postgres://m:[redacted]@h second line'])
    await process.run(['serve', ...primary], { PGSPLIT_DEBUG: '1' })
    expect(process.err.at(-1)).toContain('    at ')
  })

  it('prints the JSON Schema, the reference and the look-up function', async () => {
    const process = new FakeProcess()
    expect(await process.run(['config', '--schema'])).toBe(0)
    expect(JSON.parse(process.out[0] ?? '')).toHaveProperty('properties.clusters')
    expect(await process.run(['config'])).toBe(0)
    expect(process.out[1]).toContain('| `limits.maxClients` | `2000` |')
    expect(await process.run(['config', '--lookup-sql'])).toBe(0)
    expect(process.out[2]).toContain('SECURITY DEFINER')
  })
})

describe('demo', () => {
  it('passes on its flags and the exit code, and ends with a signal', async () => {
    const process = new FakeProcess({
      demo: ({ signal, replicas, forMs, listen, binDir }) => {
        expect([replicas, forMs, binDir]).toEqual([3, 15_000, '/opt/pg/bin'])
        expect(listen).toEqual({ host: '127.0.0.1', port: 7000 })
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve(7)))
      },
    })
    const ended = process.run([
      'demo',
      '--replicas',
      '3',
      '--for',
      '15s',
      '--listen',
      '7000',
      '--bin-dir',
      '/opt/pg/bin',
    ])
    await expect.poll(() => process.listenerCount).toBe(1)
    process.interrupt()
    expect(await ended).toBe(7)
    expect(process.listenerCount).toBe(0)
  })
})
