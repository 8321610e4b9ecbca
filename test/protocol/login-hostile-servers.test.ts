import { type Duplex, duplexPair } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { credential, noCredential } from '../../src/auth/credential.ts'
import { Link } from '../../src/net/link.ts'
import { loadServerTls } from '../../src/net/tls-options.ts'
import { cancelServer } from '../../src/server/cancel-request.ts'
import { type ConnectOptions, connectServer, type ServerLogin } from '../../src/server/connect.ts'
import { ConnectError } from '../../src/server/connect-error.ts'
import {
  backendKeyData,
  errorResponse,
  negotiateProtocolVersion,
  noticeResponse,
  parameterStatus,
  readyForQuery,
} from '../../src/wire/backend-messages.ts'
import { cancelRequest } from '../../src/wire/frontend-messages.ts'

const using = credential({ kind: 'password', password: 'secret' })
const ready = readyForQuery(0x49)

function auth(code: number, tail = ''): Buffer {
  const body = Buffer.from(tail, 'latin1')
  const head = Buffer.from('R00000000')
  head.writeInt32BE(body.length + 8, 1)
  head.writeInt32BE(code, 5)
  return Buffer.concat([head, body])
}
const authOk = auth(0)

/** Logs in to servers that say these things as soon as they are spoken to, one per connection. */
function meet(
  says: readonly (Buffer | ((far: Duplex) => void))[],
  rest: Partial<ConnectOptions> = {},
): Promise<ServerLogin> {
  let next = 0
  return connectServer({
    target: { host: 'n1', port: 5432 },
    user: 'ann',
    database: 'app',
    credential: using,
    timeoutMs: 2_000,
    dial: async () => {
      const [near, far] = duplexPair()
      const say = says[Math.min(next++, says.length - 1)]
      far.once('data', () => {
        if (typeof say === 'function') say(far)
        else if (say !== undefined) far.write(say)
      })
      return Link.of(near)
    },
    ...rest,
  })
}

describe('a server that is let in on', () => {
  it('may send notices and settings at any time, and more behind ReadyForQuery', async () => {
    const notice = noticeResponse('WARNING', { sqlstate: '01000', message: 'x' })
    const tail = parameterStatus('late', '1')
    const login = await meet([
      Buffer.concat([
        notice,
        authOk,
        notice,
        parameterStatus('a', '1'),
        backendKeyData(9, Buffer.alloc(256, 1)),
        parameterStatus('a', '2'),
        ready,
        tail,
      ]),
    ])
    expect(login.parameters).toEqual(new Map([['a', '2']]))
    expect(login.secretKey).toEqual(Buffer.alloc(256, 1))
    expect(login.leftover).toEqual(tail)
    expect(login.protocolMinor).toBe(2)
  })

  it('may have no cancel key, and may negotiate down', async () => {
    const login = await meet([Buffer.concat([negotiateProtocolVersion(0, []), authOk, ready])])
    expect(login).toMatchObject({ processId: 0, secretKey: Buffer.alloc(0), protocolMinor: 0 })
  })

  it('is asked again for protocol 3.0 when it does not know 3.2', async () => {
    const says = [
      errorResponse({ sqlstate: '08P01', message: 'bad packet header', severity: 'FATAL' }),
      Buffer.concat([authOk, ready]),
    ]
    expect((await meet(says)).protocolMinor).toBe(0)
  })
})

describe('a server that cannot be trusted', () => {
  it.each([
    ['an error without SQLSTATE', Buffer.from('E\0\0\0\x09MNo\0\0'), 'XX000', 'server'],
    ['an empty error', Buffer.from('E\0\0\0\x05\0'), 'XX000', 'server'],
    ['an error without an end', Buffer.from('E\0\0\0\x06CX'), 'XX000', 'server'],
    ['nothing at all', Buffer.alloc(0), '08006', 'network'],
    ['half a message', Buffer.from('R\0\0'), '08006', 'network'],
    ['a negative length', Buffer.from('R\xff\xff\xff\xff', 'latin1'), '08P01', 'protocol'],
    ['a huge length', Buffer.from('R\x7f\xff\xff\xff', 'latin1'), '08P01', 'protocol'],
    ['too short a request', Buffer.from('R\0\0\0\x04'), '08P01', 'protocol'],
    ['an unknown method', auth(7), '28000', 'credential'],
    ['a password request in the clear', auth(3), '28000', 'credential'],
    ['md5 without its salt', auth(5), '08P01', 'protocol'],
    ['SASL without an end', auth(10, 'SCRAM-SHA-256'), '08P01', 'protocol'],
    ['SASL that we do not have', auth(10, 'OAUTHBEARER\0\0'), '28000', 'credential'],
    ['SASL that goes on before it began', auth(11, 'r=x'), '08P01', 'protocol'],
    [
      'SASL that is cut short',
      Buffer.concat([auth(10, 'SCRAM-SHA-256\0\0'), authOk]),
      '08P01',
      'protocol',
    ],
    [
      'SASL twice',
      Buffer.concat([auth(10, 'SCRAM-SHA-256\0\0'), auth(10, 'SCRAM-SHA-256\0\0')]),
      '08P01',
      'protocol',
    ],
    [
      'a foreign nonce',
      Buffer.concat([auth(10, 'SCRAM-SHA-256\0\0'), auth(11, 'r=abc,s=YWJj,i=4096')]),
      '08P01',
      'protocol',
    ],
    ['rows before it let us in', parameterStatus('a', 'b'), '08P01', 'protocol'],
    ['a request after it let us in', Buffer.concat([authOk, authOk]), '08P01', 'protocol'],
    [
      'a cancel key too short',
      Buffer.concat([authOk, backendKeyData(1, Buffer.alloc(3))]),
      '08P01',
      'protocol',
    ],
    [
      'a cancel key too long',
      Buffer.concat([authOk, backendKeyData(1, Buffer.alloc(257))]),
      '08P01',
      'protocol',
    ],
    ['another major version', negotiateProtocolVersion(0, []).fill(4, 6, 7), '08P01', 'protocol'],
    [
      'two negotiations',
      Buffer.concat([negotiateProtocolVersion(0, []), negotiateProtocolVersion(0, [])]),
      '08P01',
      'protocol',
    ],
  ])('is left when it sends %s', async (_what, bytes, sqlstate, failure) => {
    await expect(meet([(far) => far.end(bytes)])).rejects.toMatchObject({ sqlstate, failure })
  })

  it('cannot make us throw anything but ConnectError', async () => {
    const message = fc.oneof(
      fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom(
        authOk,
        ready,
        auth(5, 'salt'),
        auth(10, 'SCRAM-SHA-256\0\0'),
        auth(12, 'v='),
      ),
      fc.tuple(fc.nat(13), fc.string()).map(([code, text]) => auth(code, text)),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 6 }), async (messages) => {
        const say = (far: Duplex) => far.end(Buffer.concat(messages))
        const outcome = await meet([say]).catch((error: unknown) => error)
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(ConnectError)
        else expect(outcome).toHaveProperty('link')
      }),
      { numRuns: 300 },
    )
  })

  it('is left when it says nothing in time', async () => {
    await expect(meet([() => {}], { timeoutMs: 20 })).rejects.toMatchObject({
      failure: 'timeout',
      sqlstate: '08001',
      message: 'log-in to n1:5432 timed out',
    })
  })

  it('never gets our password or user into an error text', async () => {
    for (const bytes of [auth(3), auth(7), auth(99), Buffer.from('R\0')]) {
      const error = await meet([(far) => far.end(bytes)]).catch((caught: Error) => caught)
      expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('secret')
    }
  })
})

describe('the answer to SSLRequest', () => {
  const tls = loadServerTls({ sslmode: 'require' })

  it('may have nothing unencrypted behind it (CVE-2021-23222)', async () => {
    const say = Buffer.concat([Buffer.from('S'), authOk, ready])
    await expect(meet([say], { tls })).rejects.toMatchObject({
      message: expect.stringContaining('unencrypted data'),
    })
  })

  it('must be S or N, and the text of an error is not believed (CVE-2024-10977)', async () => {
    const say = errorResponse({ sqlstate: '28000', message: 'send your money', severity: 'FATAL' })
    const error = await meet([say], { tls }).catch((caught: Error) => caught)
    expect(String(error)).not.toContain('money')
  })

  it('N ends a log-in that requires TLS, and is taken by one that prefers it', async () => {
    await expect(meet([Buffer.from('N')], { tls })).rejects.toMatchObject({
      failure: 'tls',
      message: 'n1:5432 does not offer TLS, but sslmode require requires it',
    })
    const login = await meet(
      [
        (far) => {
          far.write('N')
          far.once('data', () => far.write(Buffer.concat([authOk, ready])))
        },
      ],
      { tls: loadServerTls({ sslmode: 'prefer' }) },
    )
    expect(login.tls).toBeNull()
  })

  it('S with no TLS behind it is a failure of TLS', async () => {
    const garbage = (far: Duplex) => {
      far.write('S')
      far.on('data', () => far.end('garbage that is no TLS record'))
    }
    await expect(meet([garbage], { tls })).rejects.toMatchObject({ failure: 'tls' })
  })
})

describe('a cancel request', () => {
  it('is sent with the key as it is, and is over when the server closes', async () => {
    const [near, far] = duplexPair()
    const heard: Buffer[] = []
    far.on('data', (chunk: Buffer) => {
      heard.push(chunk)
      far.end()
    })
    await cancelServer({
      target: { host: 'n1', port: 1 },
      processId: -3,
      secretKey: Buffer.alloc(32, 5),
      dial: async () => Link.of(near),
    })
    expect(Buffer.concat(heard)).toEqual(cancelRequest(-3, Buffer.alloc(32, 5)))
  })

  it('gives up on a server that does not close', async () => {
    await expect(
      cancelServer({
        target: { host: 'n1', port: 1 },
        processId: 1,
        secretKey: Buffer.alloc(4),
        timeoutMs: 20,
        dial: async () => Link.of(duplexPair()[0]),
      }),
    ).rejects.toMatchObject({ failure: 'timeout' })
  })
})

it('no credential is no reason to refuse a server that trusts us', async () => {
  const login = await meet([Buffer.concat([authOk, ready])], { credential: noCredential })
  expect(login.txStatus).toBe(0x49)
})
