import { describe, expect, it } from 'vitest'
import { loadServerTls, type SslMode } from '../../src/net/tls-options.ts'
import { tlsAttempts } from '../../src/node-client.ts'

describe("the monitor's connection to a node", () => {
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
