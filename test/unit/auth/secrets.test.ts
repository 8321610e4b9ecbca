import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { credential, noCredential } from '../../../src/auth/credential.ts'
import { isMd5Response, md5Hash, md5Response } from '../../../src/auth/md5.ts'
import { MockVerifiers } from '../../../src/auth/mock-verifier.ts'
import { saslprep } from '../../../src/auth/saslprep.ts'
import { deriveScramKeys } from '../../../src/auth/scram-keys.ts'
import {
  formatScramVerifier,
  parseScramVerifier,
  parseStoredSecret,
  passwordSecret,
} from '../../../src/auth/stored-secret.ts'

describe('saslprep', () => {
  it('prepares what RFC 4013 can prepare', () => {
    // RFC 4013, section 3
    expect(saslprep('I\u00adX').toString()).toBe('IX')
    expect(saslprep('\u2168').toString()).toBe('IX')
    expect(saslprep('\u00aa').toString()).toBe('a')
    expect(saslprep('a\u00a0b').toString()).toBe('a b')
  })

  it('falls back to the raw bytes where it cannot, as PostgreSQL does', () => {
    for (const text of ['\u0007', '\u0627\u0031', '\u00ad', '😀 pass', '\ufffd', '']) {
      expect(saslprep(text)).toEqual(Buffer.from(text))
    }
  })

  it('never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => saslprep(text).length >= 0))
  })
})

const hasPython = spawnSync('python3', ['--version']).status === 0

describe.skipIf(!hasPython)('the tables of SASLprep (needs python3)', () => {
  it('are what RFC 3454 says', () => {
    const script = fileURLToPath(new URL('../../corpus/record-stringprep.py', import.meta.url))
    const { stdout } = spawnSync('python3', [script], { encoding: 'utf8' })
    const file = new URL('../../../src/auth/stringprep-tables.ts', import.meta.url)
    expect(readFileSync(file, 'utf8').replace(/\s+/g, ' ')).toBe(stdout.replace(/\s+/g, ' '))
  })
})

describe('md5', () => {
  it('hashes as PostgreSQL stores it and answers a salt from password or hash alike', () => {
    const hash = md5Hash('postgres', 'password')
    expect(hash).toBe('md532e12f215ba27cb750c9e093ce4b5127')
    const salt = Buffer.from([1, 2, 3, 4])
    expect(isMd5Response(md5Response(hash, salt), hash, salt)).toBe(true)
    expect(isMd5Response(md5Response(hash, Buffer.alloc(4)), hash, salt)).toBe(false)
    expect(isMd5Response('', hash, salt)).toBe(false)
  })
})

describe('stored secrets', () => {
  it('reads and writes the stored forms', async () => {
    const keys = await deriveScramKeys('pencil', Buffer.from('0123456789abcdef'), 4096)
    const text = formatScramVerifier(keys)
    expect(text).toMatch(/^SCRAM-SHA-256\$4096:MDEyMzQ1Njc4OWFiY2RlZg==\$.{44}:.{44}$/)
    expect(parseScramVerifier(text)).toMatchObject({ iterations: 4096, storedKey: keys.storedKey })
    expect(parseStoredSecret(text)?.kind).toBe('scram')
    expect(parseStoredSecret(md5Hash('a', 'b'))?.kind).toBe('md5')
  })

  it('takes nothing else', async () => {
    const keys = await deriveScramKeys('pencil', Buffer.from('0123456789abcdef'), 4096)
    const text = formatScramVerifier(keys)
    const bad = [
      '',
      'secret',
      'md5',
      'md5xyz',
      text.replace('4096', '0'),
      text.replace('4096', '99999999999'),
      text.replace('4096', '-1'),
      text.replace('SHA-256', 'SHA-1'),
      text.slice(0, -4),
      `${text}=`,
      `${text}\n`,
      `SCRAM-SHA-256$4096:$${'A'.repeat(43)}=:${'A'.repeat(43)}=`,
    ]
    for (const each of bad) expect(parseStoredSecret(each), each).toBeNull()
  })

  it('survives any text', () => {
    fc.assert(
      fc.property(fc.string(), (tail) => {
        parseStoredSecret(tail)
        parseStoredSecret(`SCRAM-SHA-256$4096:${tail}`)
      }),
    )
  })
})

describe('secrecy', () => {
  it('shows no secret of credentials and stored secrets in logs', async () => {
    const keys = await deriveScramKeys('hunter2', Buffer.from('0123456789abcdef'), 2)
    const verifier = formatScramVerifier(keys)
    const objects = [
      credential({ kind: 'password', password: 'hunter2' }),
      credential({ kind: 'scram-keys', ...keys }),
      credential({ kind: 'md5-hash', hash: md5Hash('a', 'hunter2') }),
      noCredential,
      passwordSecret('hunter2'),
      parseStoredSecret(verifier),
    ]
    for (const object of objects) {
      for (const shown of [String(object), inspect({ object }), JSON.stringify({ object })]) {
        expect(shown).toMatch(/\[(credential|stored secret) [a-z0-9-]+\]/)
        expect(shown).not.toMatch(/hunter2|[A-Za-z0-9+/]{20,}|Buffer/)
      }
    }
  })
})

describe('mock verifiers', () => {
  it('are the same for the same user and secret, and different otherwise', () => {
    const one = new MockVerifiers(Buffer.alloc(32, 1))
    const same = new MockVerifiers(Buffer.alloc(32, 1))
    const other = new MockVerifiers(Buffer.alloc(32, 2))
    expect(one.for('x')).toEqual(same.for('x'))
    expect(one.for('x').salt).not.toEqual(one.for('y').salt)
    expect(one.for('x').salt).not.toEqual(other.for('x').salt)
    expect(one.for('x').salt.length).toBe(16)
    expect(one.for('x').iterations).toBe(4096)
  })
})
