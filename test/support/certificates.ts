import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A certificate made for one test run, with its key. Valid from yesterday for two days. */
export interface Certificate {
  readonly der: Buffer
  readonly pem: string
  readonly keyPem: string
  readonly commonName: string
  readonly key: KeyObject
}

export interface CertificateOptions {
  readonly commonName: string
  /** Without: self-signed. */
  readonly issuer?: Certificate
  readonly isAuthority?: boolean
  readonly dnsNames?: readonly string[]
  readonly addresses?: readonly string[]
  readonly keyType?: 'ec' | 'rsa' | 'rsa-pss' | 'ed25519'
  readonly isExpired?: boolean
}

/** Makes a certificate (RFC 5280), so that tests need no openssl on the machine. */
export function makeCertificate(options: CertificateOptions): Certificate {
  const keyType = options.keyType ?? 'ec'
  const { publicKey, privateKey } = newKeys(keyType)
  const signer = options.issuer?.key ?? privateKey
  const algorithm = signatureAlgorithm(signer)
  const dayMs = 86_400_000
  const from = Date.now() - (options.isExpired ? 3 : 1) * dayMs
  const tbs = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    name(options.issuer?.commonName ?? options.commonName),
    sequence(time(from), time(from + 2 * dayMs)),
    name(options.commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions(options))),
  )
  const hash = signer.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  const signature = tagged(0x03, Buffer.concat([Buffer.from([0]), sign(hash, tbs, signer)]))
  const der = sequence(tbs, algorithm, signature)
  const lines = der.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return {
    der,
    pem: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    commonName: options.commonName,
    key: privateKey,
  }
}

/** Writes `<name>.crt` and `<name>.key` into `directory`; returns both paths. */
export function writeCertificate(
  directory: string,
  fileName: string,
  certificate: Certificate,
): { certFile: string; keyFile: string } {
  const certFile = join(directory, `${fileName}.crt`)
  const keyFile = join(directory, `${fileName}.key`)
  writeFileSync(certFile, certificate.pem)
  writeFileSync(keyFile, certificate.keyPem, { mode: 0o600 })
  return { certFile, keyFile }
}

function newKeys(type: NonNullable<CertificateOptions['keyType']>) {
  switch (type) {
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: 2048 })
    case 'rsa-pss':
      return generateKeyPairSync('rsa-pss', {
        modulusLength: 2048,
        hashAlgorithm: 'sha256',
        mgf1HashAlgorithm: 'sha256',
        ...({ saltLength: 32 } as object),
      })
    case 'ed25519':
      return generateKeyPairSync('ed25519')
    default:
      return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  }
}

function signatureAlgorithm(key: KeyObject): Buffer {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return sequence(oid('2a864886f70d01010b'), Buffer.from('0500', 'hex'))
    case 'rsa-pss': {
      const sha256 = sequence(oid('608648016503040201'))
      const mgf1 = sequence(oid('2a864886f70d010108'), sha256)
      const parameters = sequence(
        tagged(0xa0, sha256),
        tagged(0xa1, mgf1),
        tagged(0xa2, integer(Buffer.from([32]))),
      )
      return sequence(oid('2a864886f70d01010a'), parameters)
    }
    case 'ed25519':
      return sequence(oid('2b6570'))
    default:
      return sequence(oid('2a8648ce3d040302'))
  }
}

function extensions(options: CertificateOptions): Buffer[] {
  const list: Buffer[] = []
  if (options.isAuthority === true) {
    const constraints = sequence(tagged(0x01, Buffer.from([0xff])))
    list.push(sequence(oid('551d13'), tagged(0x01, Buffer.from([0xff])), tagged(0x04, constraints)))
  }
  const names = [
    ...(options.dnsNames ?? []).map((each) => tagged(0x82, Buffer.from(each))),
    ...(options.addresses ?? []).map((each) =>
      tagged(0x87, Buffer.from(each.split('.').map(Number))),
    ),
  ]
  if (names.length > 0) list.push(sequence(oid('551d11'), tagged(0x04, sequence(...names))))
  if (list.length === 0) list.push(sequence(oid('551d13'), tagged(0x04, sequence())))
  return list
}

function name(commonName: string): Buffer {
  const value = tagged(0x0c, Buffer.from(commonName))
  return sequence(tagged(0x31, sequence(oid('550403'), value)))
}

function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)
  return tagged(0x17, Buffer.from(`${text}Z`))
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts))
}

function integer(bytes: Buffer): Buffer {
  return tagged(0x02, bytes)
}

function oid(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'))
}

function tagged(tag: number, body: Buffer): Buffer {
  const size = body.length
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}
