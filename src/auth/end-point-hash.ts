import { createHash } from 'node:crypto'

/** Signature algorithm → hash (RFC 5929, section 4.1: MD5 and SHA-1 are replaced by SHA-256). */
const hashes: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'sha256', // md5WithRSAEncryption
  '1.2.840.113549.1.1.5': 'sha256', // sha1WithRSAEncryption
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.113549.1.1.14': 'sha224',
  '1.2.840.10045.4.1': 'sha256', // ecdsa-with-SHA1
  '1.2.840.10045.4.3.1': 'sha224',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '2.16.840.1.101.3.4.2.1': 'sha256', // as a parameter of RSASSA-PSS
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
  '2.16.840.1.101.3.4.2.4': 'sha224',
}
const rsaPss = '1.2.840.113549.1.1.10'

/**
 * Channel binding data `tls-server-end-point` for a certificate in DER form. Null where the RFC
 * defines none (Ed25519, Ed448) or the bytes are no certificate.
 */
export function endPointHash(der: Buffer): Buffer | null {
  const algorithm = signatureHash(der)
  return algorithm === null ? null : createHash(algorithm).update(der).digest()
}

interface Element {
  readonly tag: number
  readonly from: number
  readonly to: number
}

// Node tells a certificate's signature algorithm only in its newest lines, and never PSS's hash.
function signatureHash(der: Buffer): string | null {
  const certificate = elementAt(der, 0, der.length)
  if (certificate === null) return null
  const signed = elementAt(der, certificate.from, certificate.to)
  const algorithm = signed === null ? null : elementAt(der, signed.to, certificate.to)
  const oid = algorithm === null ? null : elementAt(der, algorithm.from, algorithm.to)
  if (algorithm === null || oid === null || oid.tag !== 6) return null
  const name = oidText(der, oid)
  if (name !== rsaPss) return hashes[name] ?? null
  // RSASSA-PSS-params → [0] → AlgorithmIdentifier → OID; without it the hash is SHA-1.
  let at: Element | null = elementAt(der, oid.to, algorithm.to)
  for (const tag of [0xa0, 0x30, 6]) {
    at = at === null ? null : elementAt(der, at.from, at.to)
    if (at === null || at.tag !== tag) return 'sha256'
  }
  return at === null ? null : (hashes[oidText(der, at)] ?? null)
}

function elementAt(der: Buffer, at: number, end: number): Element | null {
  if (at + 2 > end) return null
  const tag = der[at] as number
  let length = der[at + 1] as number
  let from = at + 2
  if (length > 0x80 && length <= 0x83) {
    const count = length - 0x80
    if (from + count > end) return null
    length = der.readUIntBE(from, count)
    from += count
  } else if (length >= 0x80) return null
  return from + length > end ? null : { tag, from, to: from + length }
}

function oidText(der: Buffer, { from, to }: Element): string {
  const parts: number[] = []
  let value = 0
  for (let at = from; at < to && value < 2 ** 40; at++) {
    const byte = der[at] as number
    value = value * 128 + (byte & 0x7f)
    if (byte >= 0x80) continue
    if (parts.length === 0) {
      const head = Math.min(2, Math.floor(value / 40))
      parts.push(head, value - head * 40)
    } else parts.push(value)
    value = 0
  }
  return parts.join('.')
}
