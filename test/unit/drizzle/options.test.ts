import { drizzle } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { createSessions, withReplicas } from '../../../src/drizzle/index.ts'
import { createSessions as createJsSessions } from '../../../src/drizzle/postgres-js/index.ts'
import { createLogger, loadConfigFile, parseConfig } from '../../../src/index.ts'
import { startEmbedded } from '../../../src/testing/index.ts'

const url = 'postgres://app:secret@127.0.0.1:1/shop'
// biome-ignore lint/suspicious/noExplicitAny: options that the compiler would not let through
type Any = any

const nodes = { primary: url, replicas: ['postgres://app:secret@127.0.0.1:2/shop'] }

/** What `createSessions` says, of both drivers alike. */
function complaint(options: Any): string {
  const said = [createSessions, createJsSessions].map((create) => {
    try {
      void create(options).close()
      return 'nothing'
    } catch (error) {
      expect(error).toMatchObject({ name: 'ConfigError' })
      return (error as Error).message
    }
  })
  expect(said[1]).toBe(said[0])
  return said[0] ?? ''
}

describe('options of createSessions', () => {
  it.each([
    [{ ...nodes, replica: url }, 'replica: unknown option; did you mean replicas?'],
    [{ ...nodes, onevent: () => {} }, 'onevent: unknown option; did you mean onEvent?'],
    [{ ...nodes, shema: {} }, 'shema: unknown option; did you mean schema?'],
    [{ ...nodes, auth: {} }, 'auth: unknown option; known here: primary, replicas, '],
    [{ ...nodes, pool: { max: 3 } }, 'pool.max: unknown option; known here: size, '],
    [{ ...nodes, pool: { mode: 'session' } }, 'pool.mode: unknown option; known here: size, '],
    [{ ...nodes, pool: { size: 0 } }, 'pool.size: expected a whole number'],
    [{ ...nodes, routing: { maxlag: 1 } }, 'routing.maxlag: unknown option; did you mean maxLag?'],
    [{ ...nodes, replicas: ['mysql://x'] }, 'replicas[0]: '],
    [{ ...nodes, replicas: [{ url, weight: -1 }] }, 'replicas[0].weight: '],
    [{ ...nodes, replicas: [url] }, 'replicas[0]: '],
    [{ replicas: [url] }, 'primary: is missing'],
    [{ proxy: 'mysql://x' }, 'proxy: '],
    [{ proxy: url, routing: {} }, 'routing: makes no sense with proxy'],
    [{ ...nodes, login: { usr: 'x' } }, 'login.usr: unknown option; did you mean user?'],
    [{ ...nodes, login: { user: '', database: 'x' } }, 'login.user: '],
    [{ ...nodes, monitor: { user: '' } }, 'monitor.user: '],
    [{ ...nodes, tls: { sslrootcert: '/nowhere/ca.pem' } }, 'tls.sslrootcert: '],
  ])('%j', (options, said) => {
    const text = complaint(options)
    expect(text.slice(0, said.length)).toBe(said)
    expect(text).not.toContain('clusters')
  })

  it('of the driver are not those that pgsplit sets', () => {
    const create = (client: Any) => () => createSessions({ ...nodes, client })
    expect(create({ max: 50 })).toThrow("client.max: is not the driver's here; say pool.size")
    expect(create({ host: 'x' })).toThrow('client.host: ')
    const createJs = (client: Any) => () => createJsSessions({ ...nodes, client })
    expect(createJs({ max: 50 })).toThrow('client.max: unknown option')
  })
})

describe('options of other public functions', () => {
  it('are known, or refused with what was meant', async () => {
    const sessions = createSessions(nodes)
    const run = (options: Any) => () => sessions.run(() => 1, options)
    expect(run({ tokn: 'x' })).toThrow('tokn: unknown option; did you mean token?')
    const web = (options: Any) => () => sessions.middleware(options)
    expect(web({ header: 'x-t', maxWait: 1 })).toThrow('maxWait: unknown option; did you mean ')
    expect(web({ header: { name: 'x-t', secrets: [] } })).toThrow('header.secrets: unknown option')
    expect(web({ cookie: { secret: 'x'.repeat(32), samesite: 'lax' } })).toThrow(
      'cookie.samesite: unknown option; did you mean sameSite?',
    )
    await sessions.close()
    const db = drizzle(new pg.Pool({ connectionString: url }))
    const replicated = (options: Any) => () => withReplicas(db, [db], options)
    expect(replicated({ rooting: {} })).toThrow('rooting: unknown option; did you mean routing?')
    const startOf = (options: Any) => startEmbedded(options)
    await expect(startOf({ replica: 2 })).rejects.toThrow(
      'replica: unknown option; did you mean replicas?',
    )
    const any = <T extends unknown[], R>(fn: (...args: T) => R) => fn as (...args: Any[]) => R
    expect(() => any(parseConfig)({}, { enviroment: {} })).toThrow('enviroment: unknown option')
    expect(() => any(loadConfigFile)('x.yaml', { overide: {} })).toThrow('did you mean override?')
    expect(() => any(createLogger)({ level: 'info', fromat: 'json' })).toThrow('mean format?')
  })
})
