import { type Duplex, duplexPair } from 'node:stream'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { LoginGate } from '../../src/client/login-gate.ts'
import { type AcceptOptions, type AcceptOutcome, acceptClient } from '../../src/client/startup.ts'
import { Link } from '../../src/net/link.ts'
import { decodeErrorFields } from '../../src/wire/error-fields.ts'
import {
  cancelRequest,
  passwordBytes,
  passwordMessage,
  query,
  saslInitialResponse,
  sslRequest,
  startupMessage,
} from '../../src/wire/frontend-messages.ts'
import { acceptOptions } from '../support/login-relay.ts'

const gssEncRequest = Buffer.from('0000000804d21630', 'hex')
const asAnn = startupMessage(0, [['user', 'ann']])

interface Talk {
  readonly outcome: Promise<AcceptOutcome>
  readonly far: Duplex
  /** What the client got, once the connection is closed. */
  readonly heard: Promise<Buffer>
}

function talk(options: Partial<AcceptOptions> = {}): Talk {
  const [near, far] = duplexPair()
  const chunks: Buffer[] = []
  far.on('data', (chunk: Buffer) => chunks.push(chunk))
  const heard = new Promise<Buffer>((resolve) => {
    far.on('close', () => resolve(Buffer.concat(chunks)))
    far.on('end', () => far.end())
  })
  return { outcome: acceptClient(Link.of(near), acceptOptions(options)), far, heard }
}

/** The fields of the ErrorResponse at `at`; everything must be well-formed up to the end. */
function errorAt(bytes: Buffer, at = 0) {
  expect(String.fromCharCode(bytes[at] ?? 0)).toBe('E')
  expect(bytes.readInt32BE(at + 1)).toBe(bytes.length - at - 1)
  return decodeErrorFields(bytes, at + 5, bytes.length)
}

async function say(bytes: Buffer, options: Partial<AcceptOptions> = {}) {
  const { outcome, far, heard } = talk(options)
  far.write(bytes)
  return { outcome: await outcome, heard: await heard }
}

afterEach(() => {
  vi.useRealTimers()
})

describe('a client that does not keep to the protocol', () => {
  it('gets a FATAL error with a SQLSTATE, and a closed connection', async () => {
    for (const [bytes, sqlstate] of [
      [startupMessage(0, [['database', 'x']]), '28000'],
      [
        startupMessage(0, [
          ['user', 'x'],
          ['replication', 'x'],
        ]),
        '22023',
      ],
      [Buffer.from('0000000900040000 00'.replace(' ', ''), 'hex'), '0A000'],
      [Buffer.concat([asAnn, query('SELECT 1')]), '08P01'],
      [Buffer.concat([asAnn, asAnn]), '08P01'],
      [Buffer.concat([asAnn, Buffer.from([0x70, 0x7f, 0xff, 0xff, 0xff])]), '08P01'],
      [Buffer.concat([asAnn, Buffer.from([0x70, 0xff, 0xff, 0xff, 0xff])]), '08P01'],
      [Buffer.concat([asAnn, passwordMessage('secret')]), '08P01'],
      [Buffer.concat([asAnn, saslInitialResponse('PLAIN', Buffer.from('x'))]), '08P01'],
      [Buffer.concat([asAnn, saslInitialResponse('SCRAM-SHA-256', Buffer.from('x'))]), '08P01'],
      [
        Buffer.concat([
          asAnn,
          saslInitialResponse('SCRAM-SHA-256', Buffer.from('n,,n=,r=abc')),
          passwordBytes(Buffer.from('c=biws,r=abc,p=x')),
        ]),
        '08P01',
      ],
    ] as const) {
      const { outcome, heard } = await say(bytes)
      expect(outcome.kind).toBe('refused')
      // Behind the requests that came before the mistake, if any.
      const at = heard.lastIndexOf(Buffer.from('SFATAL\0')) - 5
      const error = errorAt(heard, at)
      expect([error.severity, error.sqlstate], bytes.toString('latin1')).toEqual([
        'FATAL',
        sqlstate,
      ])
    }
  })

  it('that says no startup packet is left without a word, as PostgreSQL does', async () => {
    const head = (length: number): Buffer => {
      const bytes = Buffer.alloc(8)
      bytes.writeInt32BE(length)
      return bytes
    }
    const others = ['GET / HTTP/1.1\r\n\r\n', 'X\0\0\0\x04'].map((text) => Buffer.from(text))
    for (const bytes of [head(0), head(7), head(-1), head(2 ** 31 - 1), ...others]) {
      const { outcome, heard } = await say(bytes)
      expect(outcome.kind).toBe('refused')
      expect(heard.length).toBe(0)
    }
  })

  it('hears what is wrong with its options when it has proved who it is', async () => {
    const { outcome, heard } = await say(
      startupMessage(0, [
        ['user', 'x'],
        ['options', '-c='],
      ]),
      { method: 'trust' },
    )
    expect(outcome.kind).toBe('refused')
    expect(errorAt(heard, 9).sqlstate).toBe('42601')
  })

  it('may not send anything unencrypted behind an SSLRequest, or ask twice', async () => {
    for (const bytes of [
      [sslRequest(), asAnn],
      [gssEncRequest, asAnn],
    ]) {
      const { heard } = await say(Buffer.concat(bytes))
      // Behind the N, as from PostgreSQL.
      expect(errorAt(heard, 1).message).toContain('received unencrypted data after')
    }
    for (const request of [sslRequest(), gssEncRequest]) {
      const { far, heard } = talk()
      far.write(request)
      await new Promise((resolve) => far.once('data', resolve))
      far.write(request)
      expect(errorAt(await heard, 1).message).toContain('unsupported frontend protocol 1234.')
    }
  })

  it('is told N for GSS and for TLS that is not offered, in either order, and goes on', async () => {
    for (const order of [
      [gssEncRequest, sslRequest()],
      [sslRequest(), gssEncRequest],
    ]) {
      const { far, outcome } = talk({ method: 'trust' })
      for (const request of order) {
        far.write(request)
        const answer = await new Promise<Buffer>((resolve) => far.once('data', resolve))
        expect(answer.toString()).toBe('N')
      }
      far.write(asAnn)
      expect(await outcome).toMatchObject({ kind: 'login', user: 'ann' })
    }
  })

  it('is not served TLS from the first byte where there is none', async () => {
    const { outcome } = await say(Buffer.from('16030100050100000100', 'hex'))
    expect(outcome).toMatchObject({
      kind: 'refused',
      error: { message: 'TLS is not offered here' },
    })
  })

  it('leaves silently when it says nothing', async () => {
    const { far, outcome, heard } = talk()
    far.end()
    expect(await outcome).toEqual({ kind: 'gone' })
    expect(await heard).toEqual(Buffer.alloc(0))
  })

  it('may come byte by byte', async () => {
    const { far, outcome } = talk({ method: 'trust' })
    for (const byte of asAnn) far.write(Buffer.from([byte]))
    expect(await outcome).toMatchObject({ kind: 'login', user: 'ann', database: 'ann' })
  })

  it('keeps what it sent too early', async () => {
    const { far, outcome } = talk({ method: 'trust' })
    far.write(Buffer.concat([asAnn, query('SELECT 1')]))
    const login = await outcome
    expect(login.kind === 'login' && login.leftover).toEqual(query('SELECT 1'))
  })

  it('never makes it throw or hang, whatever it sends', async () => {
    const step = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom(
        asAnn,
        sslRequest(),
        gssEncRequest,
        query('x'),
        passwordMessage('x'),
        cancelRequest(1, Buffer.alloc(4)),
        saslInitialResponse('SCRAM-SHA-256', Buffer.from('n,,n=,r=abc')),
        passwordBytes(Buffer.from(`c=biws,r=abc,p=${'A'.repeat(43)}=`)),
      ),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 6 }),
        fc.constantFrom('scram-sha-256', 'md5', 'trust', 'cert' as const),
        async (steps, method) => {
          const { far, outcome } = talk({ method })
          for (const bytes of steps) far.write(bytes)
          far.end()
          expect(await outcome).toHaveProperty('kind')
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('a cancel request', () => {
  it('is passed on with its key and closed without a word', async () => {
    const onCancel = vi.fn()
    const { outcome, heard } = await say(cancelRequest(7, Buffer.alloc(32, 9)), { onCancel })
    expect(onCancel).toHaveBeenCalledWith(7, Buffer.alloc(32, 9))
    expect(outcome).toEqual({ kind: 'cancel' })
    expect(heard).toEqual(Buffer.alloc(0))
  })

  it('is closed without a word also when it cannot be passed on', async () => {
    const onCancel = () => Promise.reject(new Error('no such node'))
    const { outcome, heard } = await say(cancelRequest(7, Buffer.alloc(4)), { onCancel })
    expect(outcome).toEqual({ kind: 'cancel' })
    expect(heard).toEqual(Buffer.alloc(0))
  })
})

describe('protocol negotiation', () => {
  it('names the newest version and the unknown options before it authenticates', async () => {
    const { heard } = await say(
      Buffer.concat([
        startupMessage(9999, [
          ['user', 'ann'],
          ['_pq_.new', '1'],
        ]),
        query('x'),
      ]),
    )
    expect(heard.subarray(0, 22)).toEqual(
      Buffer.concat([
        Buffer.from('v'),
        Buffer.from('000000150003000200000001', 'hex'),
        Buffer.from('_pq_.new\0'),
      ]),
    )
  })
})

describe('clients that never log in', () => {
  it('are told so when their time is over', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const silent = talk({ authTimeoutMs: 1_000 })
    const halfway = talk({ authTimeoutMs: 1_000 })
    const waiting = talk({
      authTimeoutMs: 1_000,
      authenticator: { find: () => new Promise(() => {}) },
    })
    halfway.far.write(asAnn)
    waiting.far.write(asAnn)
    await new Promise((resolve) => halfway.far.once('data', resolve))
    await vi.advanceTimersByTimeAsync(1_000)
    for (const each of [silent, halfway, waiting]) {
      expect(await each.outcome).toMatchObject({ kind: 'refused', error: { sqlstate: '57014' } })
      expect((await each.heard).includes('log-in took longer than 1000 ms')).toBe(true)
    }
  })

  it('make room for new ones, the oldest first', async () => {
    const gate = new LoginGate(2)
    const talks = [talk({ gate }), talk({ gate }), talk({ gate })]
    expect(await talks[0]?.outcome).toMatchObject({ error: { sqlstate: '53300' } })
    expect(gate.waiting).toBe(2)
    talks[1]?.far.end()
    expect(await talks[1]?.outcome).toEqual({ kind: 'gone' })
    expect(gate.waiting).toBe(1)
  })
})
