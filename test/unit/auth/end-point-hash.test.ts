import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { endPointHash } from '../../../src/auth/end-point-hash.ts'
import { makeCertificate } from '../../support/certificates.ts'

describe('endPointHash', () => {
  it.each(['ec', 'rsa', 'rsa-pss'] as const)("hashes a certificate with %s's hash", (keyType) => {
    const { der } = makeCertificate({ commonName: 'a', keyType })
    expect(endPointHash(der)).toEqual(createHash('sha256').update(der).digest())
  })

  it('has nothing to bind to in a certificate whose signature has no hash', () => {
    expect(endPointHash(makeCertificate({ commonName: 'a', keyType: 'ed25519' }).der)).toBeNull()
  })

  it('gives null or a hash for any bytes', () => {
    const { der } = makeCertificate({ commonName: 'a' })
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void endPointHash(Buffer.from(bytes))))
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), (at, byte) => {
        const broken = Buffer.from(der)
        broken[at] = byte
        endPointHash(broken)
        endPointHash(der.subarray(0, at))
      }),
    )
  })
})
