import { describe, expect, it } from 'vitest'
import { tlsAttempts } from '../../../../src/drizzle/proxy/driver-tls.ts'
import { loadServerTls, type SslMode } from '../../../../src/net/tls-options.ts'

describe("a driver's connection to a proxy", () => {
  it.each([
    ['disable', ['plain']],
    ['allow', ['plain', 'tls']],
    ['prefer', ['tls', 'plain']],
    ['require', ['tls']],
  ] satisfies [SslMode, string[]][])('with sslmode %s tries %j', (sslmode, wanted) => {
    const attempts = tlsAttempts(loadServerTls({ sslmode }), 'h')
    expect(attempts.map((ssl) => (ssl === false ? 'plain' : 'tls'))).toEqual(wanted)
  })
})
