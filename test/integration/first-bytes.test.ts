import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { int32 } from '../support/raw-client.ts'
import { seededNumbers } from '../support/seeded-numbers.ts'

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ replicas: 0 })
  proxy = await startTestProxy(cluster)
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const ssl = Buffer.concat([int32(8), int32(80877103)])
const gss = Buffer.concat([int32(8), int32(80877104)])
const packet = (code: number, ...body: readonly (string | Buffer)[]): Buffer => {
  const bytes = Buffer.concat(body.map((part) => Buffer.from(part)))
  return Buffer.concat([int32(bytes.length + 8), int32(code), bytes])
}
const version = (major: number, minor: number): number => (major << 16) | minor | 0
const v3 = version(3, 0)
const user = 'user\0postgres\0database\0postgres\0'

/** First bytes of a client, and whether it closes its side behind them. */
const said: Readonly<Record<string, readonly [Buffer, 'closes' | 'waits']>> = {
  'a Terminate': [Buffer.from('X\0\0\0\x04'), 'waits'],
  'a Query': [Buffer.from('Q\0\0\0\x0dSELECT 1\0'), 'waits'],
  'a web browser': [Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), 'waits'],
  'an SSH client': [Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'), 'waits'],
  nothing: [Buffer.alloc(0), 'closes'],
  'one byte': [Buffer.from([0]), 'closes'],
  'three bytes': [Buffer.from([0, 0, 0]), 'closes'],
  'a length only': [int32(16), 'closes'],
  'half a packet': [packet(v3, user, '\0').subarray(0, 20), 'closes'],
  ...Object.fromEntries(
    [-1, -0x80000000, 0, 1, 3, 4, 5, 7, 10_001, 10_005, 100_000, 0x7fffffff].map((length) => [
      `length ${length}`,
      [Buffer.concat([int32(length), int32(v3), Buffer.alloc(64)]), 'waits'] as const,
    ]),
  ),
  'no body': [packet(v3), 'waits'],
  'no user': [packet(v3, '\0'), 'waits'],
  'an empty user': [packet(v3, 'user\0\0\0'), 'waits'],
  'no terminator': [packet(v3, user), 'waits'],
  'a name without a value': [packet(v3, 'user\0'), 'waits'],
  'an unterminated value': [packet(v3, 'user\0postgres'), 'waits'],
  'something behind the terminator': [packet(v3, user, '\0x'), 'waits'],
  'a bad replication': [packet(v3, user, 'replication\0maybe\0\0'), 'waits'],
  'bad options': [packet(v3, user, 'options\0-c\0\0'), 'waits'],
  ...Object.fromEntries(
    [
      [0, 0],
      [1, 0],
      [2, 0],
      [2, 99],
      [4, 0],
      [0x7fff, 0],
      [1234, 0],
      [1234, 5677],
      [1234, 5681],
      [1234, 0xffff],
      [0xffff, 0xffff],
    ].map(([major = 0, minor = 0]) => [
      `protocol ${major}.${minor}`,
      [packet(version(major, minor), user, '\0'), 'waits'] as const,
    ]),
  ),
  SSLRequest: [ssl, 'closes'],
  'SSLRequest twice': [Buffer.concat([ssl, ssl]), 'closes'],
  'SSLRequest with a body': [packet(80877103, 'x'), 'waits'],
  GSSENCRequest: [gss, 'closes'],
  'GSSENCRequest with a body': [packet(80877104, 'x'), 'waits'],
  'a short cancel request': [packet(80877102, int32(1)), 'waits'],
  'a cancel request without a key': [packet(80877102), 'waits'],
  'a cancel request of a stranger': [packet(80877102, int32(77), int32(78)), 'waits'],
  'a cancel request with a key of 300 bytes': [
    packet(80877102, int32(77), Buffer.alloc(300)),
    'waits',
  ],
}

/** What follows an answer of one letter. */
const followed: Readonly<Record<string, readonly Buffer[]>> = {
  'SSLRequest, then again': [ssl, ssl],
  'SSLRequest, then GSSENCRequest, then SSLRequest': [ssl, gss, ssl],
  'GSSENCRequest, then again': [gss, gss],
  'SSLRequest, then garbage': [ssl, Buffer.from('X\0\0\0\x04')],
  'SSLRequest, then no user': [ssl, packet(v3, '\0')],
  'SSLRequest, then protocol 2.0': [ssl, packet(version(2, 0), user, '\0')],
}

/** What is heard until the server closes; `open`: it waits for more. */
function hear(port: number, frames: readonly Buffer[], end: 'closes' | 'waits'): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let heard = Buffer.alloc(0)
    let sent = 0
    const finish = (how: string): void => {
      socket.destroy()
      resolve(`${shown(heard)} ${how}`)
    }
    const next = (): void => {
      const frame = frames[sent++]
      if (frame !== undefined && frame.length > 0) socket.write(frame)
      if (sent >= frames.length && end === 'closes') socket.end()
    }
    const timer = setTimeout(() => finish('open'), 1_500)
    socket.on('connect', next)
    socket.on('data', (chunk) => {
      heard = Buffer.concat([heard, chunk])
      if (sent < frames.length) next()
      // Whoever is asked to log in was understood.
      if (heard.includes('R') && heard[0] === 0x52) finish('log-in')
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      finish('closed')
    })
  })
}

/** Letters, and of an error its severity, SQLSTATE and message. */
function shown(bytes: Buffer): string {
  const letters: string[] = []
  let at = 0
  while (at < bytes.length && (bytes[at] === 0x4e || bytes[at] === 0x53)) {
    letters.push(String.fromCharCode(bytes[at++] as number))
  }
  if (bytes[at] !== 0x45) return letters.join('')
  // Protocols 1 and 2 have no length there.
  if (bytes[at + 1] === 0x46) return letters.join('') + JSON.stringify(bytes.toString('latin1', at))
  const fields = bytes.toString('latin1', at + 5).split('\0')
  return `${letters.join('')}E ${fields.filter((field) => /^[SVCM]/.test(field)).join()}`
}

describe('the first bytes of a client are answered as PostgreSQL answers them', () => {
  it.each(Object.entries(said))('%s', async (_name, [bytes, end]) => {
    const [direct, proxied] = await Promise.all([
      hear(cluster.primary.port, [bytes], end),
      hear(proxy.port, [bytes], end),
    ])
    expect(proxied).toBe(direct)
  })

  it.each(Object.entries(followed))('%s', async (_name, frames) => {
    const [direct, proxied] = await Promise.all([
      hear(cluster.primary.port, frames, 'closes'),
      hear(proxy.port, frames, 'closes'),
    ])
    expect(proxied).toBe(direct)
  })

  it('whatever they are', async () => {
    const random = seededNumbers(7)
    for (let round = 0; round < 60; round++) {
      const bytes = Buffer.from(Array.from({ length: 1 + random(40) }, () => random(256)))
      // Some with a length that may be right.
      if (random(2) === 0 && bytes.length >= 8) bytes.writeInt32BE(bytes.length, 0)
      if (random(3) === 0 && bytes.length >= 8) bytes.writeInt32BE(v3, 4)
      const [direct, proxied] = await Promise.all([
        hear(cluster.primary.port, [bytes], 'closes'),
        hear(proxy.port, [bytes], 'closes'),
      ])
      expect(proxied, bytes.toString('hex')).toBe(direct)
    }
  })
})
