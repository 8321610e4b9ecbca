import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { parse, serialize } from 'pg-protocol'
import { describe, expect, it } from 'vitest'
import {
  backendKeyData,
  bindComplete,
  closeComplete,
  commandComplete,
  dataRow,
  emptyQueryResponse,
  errorResponse,
  noData,
  noticeResponse,
  parameterDescription,
  parameterStatus,
  parseComplete,
  readyForQuery,
  rowDescription,
} from '../../../src/wire/backend-messages.ts'
import { decodeErrorFields } from '../../../src/wire/error-fields.ts'
import {
  close,
  flush,
  query,
  startupMessage,
  sync,
  terminate,
} from '../../../src/wire/frontend-messages.ts'
import { frontend } from '../../../src/wire/message-types.ts'
import { Writer } from '../../../src/wire/writer.ts'

/** Text without NUL, which no string of the protocol can hold. */
const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((value) => !value.includes('\0'))

/** What another implementation of the protocol reads in these bytes. */
function decoded(bytes: Buffer): Record<string, unknown>[] {
  const messages: Record<string, unknown>[] = []
  const stream = new PassThrough()
  // `message` of an error is no enumerable property.
  void parse(stream, (message) => {
    messages.push({ ...message, ...(message instanceof Error ? { message: message.message } : {}) })
  })
  stream.emit('data', bytes)
  return messages
}

describe('what pgsplit says to servers', () => {
  it('is what node-postgres says', () => {
    fc.assert(
      fc.property(text, (value) => {
        expect(query(value)).toEqual(serialize.query(value))
        expect(close('S', value)).toEqual(serialize.close({ type: 'S', name: value }))
        expect(close('P', value)).toEqual(serialize.close({ type: 'P', name: value }))
      }),
    )
    expect(sync).toEqual(serialize.sync())
    expect(flush).toEqual(serialize.flush())
    expect(terminate).toEqual(serialize.end())
  })

  it('begins with the startup packet that the documentation gives', () => {
    const packet = startupMessage(2, [['user', 'alice']])
    expect(packet.readInt32BE(0)).toBe(packet.length)
    expect(packet.readInt32BE(4)).toBe(0x30002)
    expect(packet.toString('latin1', 8)).toBe('user\0alice\0\0')
  })
})

describe('the writer', () => {
  it('makes Parse and Bind as node-postgres does', () => {
    const value = fc.oneof(
      fc.constant(null),
      text,
      fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    )
    fc.assert(
      fc.property(
        text,
        text,
        text,
        fc.array(value, { maxLength: 5 }),
        (name, portal, sql, values) => {
          const writer = new Writer(8)
          writer.begin(frontend.parse).string(name).string(sql).int16(2).int32(23).int32(25).end()
          expect(writer.take()).toEqual(serialize.parse({ name, text: sql, types: [23, 25] }))
          writer.begin(frontend.bind).string(portal).string(name).int16(values.length)
          for (const item of values) writer.int16(item instanceof Buffer ? 1 : 0)
          writer.int16(values.length)
          for (const item of values) {
            if (item === null) writer.int32(-1)
            else {
              const bytes = Buffer.from(item)
              writer.int32(bytes.length).bytes(bytes)
            }
          }
          writer.int16(1).int16(0).end()
          expect(writer.take()).toEqual(serialize.bind({ portal, statement: name, values }))
        },
      ),
    )
  })

  it('cuts a string at a NUL, which would end it early', () => {
    expect(new Writer().begin(0x51).string('a\0b').end().take().toString('latin1')).toBe(
      'Q\0\0\0\x06a\0',
    )
  })

  it('owns nothing of what it gave away', () => {
    const writer = new Writer(16)
    const first = writer.begin(0x51).string('first').end().take()
    const copy = Buffer.from(first)
    writer.begin(0x51).string('other').end().take()
    expect(first).toEqual(copy)
  })
})

describe('what pgsplit says to clients', () => {
  it('is read by node-postgres as it was meant', () => {
    fc.assert(
      fc.property(
        text,
        text,
        fc.array(fc.oneof(fc.constant(null), text), { maxLength: 6 }),
        (a, b, row) => {
          expect(decoded(commandComplete(a))[0]).toMatchObject({ name: 'commandComplete', text: a })
          expect(decoded(parameterStatus(a, b))[0]).toMatchObject({
            parameterName: a,
            parameterValue: b,
          })
          expect(decoded(dataRow(row))[0]).toMatchObject({ name: 'dataRow', fields: row })
          const columns = row.map((_, i) => ({ name: `${a}${i}`, typeOid: 25 }))
          expect(decoded(rowDescription(columns))[0]).toMatchObject({
            name: 'rowDescription',
            fields: columns.map(({ name }) => ({ name, dataTypeID: 25, format: 'text' })),
          })
          const facts = { sqlstate: '08006', message: a, detail: b, hint: a }
          expect(decoded(errorResponse(facts))[0]).toMatchObject({
            name: 'error',
            code: '08006',
            severity: 'ERROR',
            message: a,
            detail: b,
            hint: a,
          })
          expect(decoded(noticeResponse('WARNING', facts))[0]).toMatchObject({
            name: 'notice',
            severity: 'WARNING',
            message: a,
          })
        },
      ),
    )
  })

  it('has the short messages of the documentation', () => {
    const names = [
      [parseComplete, 'parseComplete'],
      [bindComplete, 'bindComplete'],
      [closeComplete, 'closeComplete'],
      [noData, 'noData'],
      [emptyQueryResponse, 'emptyQuery'],
    ] as const
    for (const [bytes, name] of names) expect(decoded(bytes)[0]).toMatchObject({ name })
    expect(decoded(readyForQuery(0x54))[0]).toMatchObject({ name: 'readyForQuery', status: 'T' })
    expect(decoded(parameterDescription([23, 25]))[0]).toMatchObject({ dataTypeIDs: [23, 25] })
    expect(backendKeyData(7, Buffer.alloc(32)).readInt32BE(1)).toBe(4 + 4 + 32)
  })
})

describe('error fields', () => {
  it('are read from what we write', () => {
    const bytes = errorResponse({ sqlstate: '25006', message: 'no', detail: 'why' })
    expect(decodeErrorFields(bytes, 5, bytes.length)).toEqual({
      severity: 'ERROR',
      sqlstate: '25006',
      message: 'no',
      detail: 'why',
      routine: '',
    })
  })

  it('are XX000 without a code, and never throw on any bytes', () => {
    expect(decodeErrorFields(Buffer.from('Mhello\0\0'), 0, 8)).toMatchObject({
      sqlstate: 'XX000',
      message: 'hello',
    })
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        expect(decodeErrorFields(Buffer.from(bytes), 0, bytes.length).sqlstate).toHaveLength(5)
      }),
    )
  })
})
