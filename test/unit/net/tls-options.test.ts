import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ConfigError } from '../../../src/errors.ts'
import {
  ClientTls,
  type ClientTlsOptions,
  loadServerTls,
  type ServerTlsOptions,
} from '../../../src/net/tls-options.ts'
import { makeCertificate, writeCertificate } from '../../support/certificates.ts'

const directory = mkdtempSync(join(tmpdir(), 'tls-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const one = writeCertificate(directory, 'one', makeCertificate({ commonName: 'one' }))
const two = writeCertificate(directory, 'two', makeCertificate({ commonName: 'two' }))
const missing = join(directory, 'missing.pem')
const junk = join(directory, 'junk.pem')
writeFileSync(junk, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
const empty = join(directory, 'empty.pem')
writeFileSync(empty, '')

function pathAndMessage(attempt: () => unknown): string {
  try {
    attempt()
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  return 'no error'
}

describe('TLS to servers', () => {
  it.each<[ServerTlsOptions, string]>([
    [{ sslmode: 'verify-ca' }, 'tls.sslrootcert: sslmode verify-ca needs the authorities'],
    [{ sslmode: 'verify-full' }, 'tls.sslrootcert: sslmode verify-full needs the authorities'],
    [{ sslmode: 'require', sslrootcert: 'system' }, 'tls.sslmode: sslmode require is too weak'],
    [{ sslmode: 'prefer', sslnegotiation: 'direct' }, 'tls.sslnegotiation: sslmode prefer may not'],
    [{ sslrootcert: missing }, `tls.sslrootcert: cannot read ${missing} (ENOENT)`],
    [{ sslrootcert: junk }, 'tls.sslrootcert: '],
    [{ sslrootcert: empty }, `tls.sslrootcert: ${empty} holds no certificate`],
    [{ sslcert: one.certFile }, 'tls.sslkey: sslcert and sslkey belong together'],
    [{ sslkey: one.keyFile }, 'tls.sslcert: sslcert and sslkey belong together'],
    [{ sslcert: one.certFile, sslkey: two.keyFile }, 'tls.sslkey: the private key does not belong'],
    [{ sslcert: one.certFile, sslkey: one.certFile }, 'tls.sslkey: '],
    [{ sslcrl: empty }, 'tls: TLS cannot be set up with these files'],
  ])('with %j is a ConfigError', (options, message) => {
    expect(pathAndMessage(() => loadServerTls(options))).toContain(message)
  })

  it('needs no files where nothing is verified, and none at all where it is off', () => {
    expect(loadServerTls({}).sslmode).toBe('prefer')
    expect(loadServerTls({ sslmode: 'disable', sslrootcert: missing }).sslmode).toBe('disable')
    expect(loadServerTls({ sslmode: 'require' }).connectOptions('db').rejectUnauthorized).toBe(
      false,
    )
  })

  it('verifies with require when there are authorities, as libpq does', () => {
    const tls = loadServerTls({ sslmode: 'require', sslrootcert: one.certFile })
    expect(tls.connectOptions('db').rejectUnauthorized).toBe(true)
  })

  it('names the host in the clear, but never an address', () => {
    expect(loadServerTls({}).connectOptions('db.example').servername).toBe('db.example')
    expect(loadServerTls({}).connectOptions('127.0.0.1').servername).toBeUndefined()
    expect(loadServerTls({}).connectOptions('::1').servername).toBeUndefined()
    expect(loadServerTls({ sslsni: false }).connectOptions('db').servername).toBeUndefined()
  })
})

describe('TLS for clients', () => {
  it.each<[ClientTlsOptions, string]>([
    [{ mode: 'require' }, 'tls.certFile: TLS for clients needs a certificate'],
    [
      { certFile: one.certFile },
      "tls.keyFile: TLS for clients needs the certificate's private key",
    ],
    [{ certFile: missing, keyFile: one.keyFile }, 'tls.certFile: cannot read'],
    [{ certFile: one.certFile, keyFile: missing }, 'tls.keyFile: cannot read'],
    [
      { certFile: one.certFile, keyFile: two.keyFile },
      'tls.keyFile: the private key does not belong',
    ],
    [{ ...one, mode: 'verify-ca' }, "tls.caFile: mode verify-ca needs the authorities of clients'"],
    [{ ...one, caFile: empty }, 'tls.caFile: '],
    [{ ...one, ciphers: 'NONSENSE' }, 'tls: TLS cannot be set up'],
  ])('with %j is a ConfigError', (options, message) => {
    expect(pathAndMessage(() => new ClientTls(options))).toContain(message)
  })

  it('is offered when there is a certificate, and required only when told so', () => {
    expect(new ClientTls({}).mode).toBe('disable')
    expect(new ClientTls({}).files).toBeNull()
    const tls = new ClientTls(one)
    expect([tls.mode, tls.isRequired, tls.mustVerify, tls.asksCertificate]).toEqual([
      'prefer',
      false,
      false,
      false,
    ])
    const strict = new ClientTls({ ...one, mode: 'verify-full', caFile: two.certFile })
    expect([strict.isRequired, strict.mustVerify, strict.asksCertificate]).toEqual([
      true,
      true,
      true,
    ])
  })

  it('keeps the files it has when new ones cannot be used', () => {
    const pair = writeCertificate(directory, 'live', makeCertificate({ commonName: 'a' }))
    const tls = new ClientTls(pair)
    const before = tls.files
    writeFileSync(pair.keyFile, '')
    expect(() => tls.reload()).toThrow('tls.keyFile')
    expect(tls.files).toBe(before)
    writeCertificate(directory, 'live', makeCertificate({ commonName: 'b' }))
    tls.reload()
    expect(tls.files?.certificate).not.toEqual(before?.certificate)
  })
})
