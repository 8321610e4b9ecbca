import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from '../../../src/errors.ts'
import { cancelRequest, sslRequest, startupMessage } from '../../../src/wire/frontend-messages.ts'
import { parseStartupOptions } from '../../../src/wire/startup-options.ts'
import {
  decodeStartupPacket,
  type StartupPacket,
  startupPacketBytes,
} from '../../../src/wire/startup-packet.ts'

function packet(code: number, body: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(body)
  const head = Buffer.alloc(8)
  head.writeInt32BE(bytes.length + 8, 0)
  head.writeUInt32BE(code, 4)
  return Buffer.concat([head, bytes])
}

const v30 = 3 << 16

function startup(body: string, minor = 0): StartupPacket {
  return decodeStartupPacket(packet(v30 | minor, body))
}

describe('startupPacketBytes', () => {
  it('takes 8 to 10,004 and nothing else, read as a signed number', () => {
    for (const length of [8, 9, 10_004]) {
      const head = Buffer.alloc(4)
      head.writeInt32BE(length)
      expect(startupPacketBytes(head)).toBe(length)
    }
    for (const length of [0, 4, 7, 10_005, -1, -(2 ** 31), 2 ** 31 - 1, 0x16030100]) {
      const head = Buffer.alloc(4)
      head.writeInt32BE(length)
      expect(() => startupPacketBytes(head)).toThrow('invalid length of startup packet')
    }
  })
})

describe('decodeStartupPacket', () => {
  it('knows the three requests that are no start', () => {
    expect(decodeStartupPacket(sslRequest())).toEqual({ kind: 'ssl-request' })
    expect(decodeStartupPacket(packet(80877104))).toEqual({ kind: 'gssenc-request' })
    expect(decodeStartupPacket(cancelRequest(-7, Buffer.alloc(256, 3)))).toEqual({
      kind: 'cancel',
      processId: -7,
      secretKey: Buffer.alloc(256, 3),
    })
  })

  it('refuses cancel keys that are missing or too long, and takes requests with a tail', () => {
    expect(() => decodeStartupPacket(cancelRequest(1, Buffer.alloc(257)))).toThrow(ProtocolError)
    expect(() => decodeStartupPacket(cancelRequest(1, Buffer.alloc(0)))).toThrow(ProtocolError)
    // As PostgreSQL, which looks at nothing behind the code.
    expect(decodeStartupPacket(packet(80877103, 'x'))).toEqual({ kind: 'ssl-request' })
  })

  it('decodes names and values in order, options before parameters, last user wins', () => {
    const message = startupMessage(0, [
      ['user', 'ann'],
      ['application_name', 'psql'],
      ['options', '-c search_path=a,b --work-mem=64MB'],
      ['user', 'bob'],
      ['client_encoding', 'UTF8'],
    ])
    expect(decodeStartupPacket(message)).toMatchObject({
      kind: 'startup',
      user: 'bob',
      database: 'bob',
      replication: 'none',
      applicationName: 'psql',
      minor: 0,
      negotiate: null,
      settings: [
        { name: 'search_path', value: 'a,b' },
        { name: 'work_mem', value: '64MB' },
        { name: 'application_name', value: 'psql' },
        { name: 'client_encoding', value: 'UTF8' },
      ],
    })
  })

  it('takes the user for a database that is missing or empty', () => {
    expect(startup('user\0a\0\0')).toMatchObject({ database: 'a' })
    expect(startup('user\0a\0database\0\0\0')).toMatchObject({ database: 'a' })
    expect(startup('user\0a\0database\0b\0\0')).toMatchObject({ database: 'b' })
  })

  it('refuses a packet without a user', () => {
    for (const body of ['\0', 'database\0b\0\0', 'user\0\0\0']) {
      expect(startup(body)).toMatchObject({ kind: 'refused', error: { sqlstate: '28000' } })
    }
  })

  it('wants the terminator as the last byte', () => {
    for (const body of ['', 'user\0a\0', 'user\0a', 'user\0', 'user', 'user\0a\0\0\0', '\0\0']) {
      expect(() => startup(body)).toThrow('expected terminator as last byte')
    }
  })

  it('speaks 3.0 to 3.2 and negotiates what is newer or unknown', () => {
    expect(startup('user\0a\0\0', 1)).toMatchObject({ minor: 1, negotiate: null })
    expect(startup('user\0a\0\0', 2)).toMatchObject({ minor: 2, negotiate: null })
    expect(startup('user\0a\0\0', 9999)).toMatchObject({
      minor: 2,
      negotiate: { minor: 2, unrecognized: [] },
    })
    expect(startup('user\0a\0_pq_.x\x001\0_pq_.y\0\0\0')).toMatchObject({
      minor: 0,
      negotiate: { minor: 0, unrecognized: ['_pq_.x', '_pq_.y'] },
      settings: [],
    })
  })

  it('refuses other major versions by name', () => {
    for (const code of [0, 2 << 16, 4 << 16, 0xffffffff]) {
      expect(decodeStartupPacket(packet(code, '\0'))).toMatchObject({
        kind: 'refused',
        error: { sqlstate: '0A000' },
      })
    }
  })

  it('reads the replication parameter as PostgreSQL reads booleans', () => {
    const replication = (value: string) => startup(`user\0a\0replication\0${value}\0\0`)
    for (const value of ['true', 'on', '1', 'YES', 't']) {
      expect(replication(value)).toMatchObject({ replication: 'physical' })
    }
    for (const value of ['false', 'off', 'of', '0', 'No']) {
      expect(replication(value)).toMatchObject({ replication: 'none' })
    }
    expect(replication('database')).toMatchObject({ replication: 'database' })
    for (const value of ['', 'o', 'maybe', 'Database', '2']) {
      expect(replication(value)).toMatchObject({ kind: 'refused', error: { sqlstate: '22023' } })
    }
  })

  it('throws nothing but ProtocolError on any bytes', () => {
    const code = fc.constantFrom(v30, v30 | 2, v30 | 7, 80877102, 80877103, 80877104, 2 << 16)
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .array(fc.constantFrom('user', 'options', '-c', '-c=', '=', '\\', ' ', '\0', 'a', '_pq_.'))
        .map((parts) => Buffer.from(parts.join(''))),
    )
    const decode = (bytes: Buffer) => {
      try {
        expect(decodeStartupPacket(bytes)).toHaveProperty('kind')
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError)
      }
    }
    fc.assert(fc.property(code, body, (each, bytes) => decode(packet(each, Buffer.from(bytes)))))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => decode(Buffer.from(bytes))))
  })
})

describe('parseStartupOptions', () => {
  it('splits at blanks, with backslashes for blanks and for themselves', () => {
    expect(parseStartupOptions('')).toEqual([])
    expect(parseStartupOptions('  -c a=1\t-cb=2 --c-d=3 ')).toEqual([
      { name: 'a', value: '1' },
      { name: 'b', value: '2' },
      { name: 'c_d', value: '3' },
    ])
    expect(parseStartupOptions('-c a=x\\ y\\\\z=1')).toEqual([{ name: 'a', value: 'x y\\z=1' }])
    expect(parseStartupOptions('-c a=')).toEqual([{ name: 'a', value: '' }])
    expect(parseStartupOptions('-c a=b\\')).toEqual([{ name: 'a', value: 'b' }])
  })

  it('answers what it cannot take with an error that names it (CVE-2026-107349)', () => {
    for (const bad of [
      '-c',
      '-c=',
      '-c =',
      '-c =x',
      '--',
      '--=',
      '-c a',
      '--a',
      '-S 1',
      'x',
      '-',
    ]) {
      expect(parseStartupOptions(bad), bad).toMatchObject({ sqlstate: '42601', severity: 'FATAL' })
    }
  })

  it('gives back what was escaped', () => {
    const name = fc.stringMatching(/^[a-z_]{1,10}$/)
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.string())), (pairs) => {
        const text = pairs
          .map(([key, value]) => `-c ${key}=${value.replace(/[\\\s]/g, (c) => `\\${c}`)}`)
          .join(' ')
        expect(parseStartupOptions(text)).toEqual(
          pairs.map(([key, value]) => ({ name: key, value })),
        )
      }),
    )
  })
})
