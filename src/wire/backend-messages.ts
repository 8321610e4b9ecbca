import type { ErrorFacts } from '../errors.ts'
import { backend } from './message-types.ts'
import { Writer } from './writer.ts'

/** Encoders of the messages that pgsplit itself says to clients. Each returns a buffer of its own. */

const writer = new Writer(1024)

function fixed(type: number): Buffer {
  return writer.begin(type).end().take()
}

export const parseComplete: Buffer = fixed(backend.parseComplete)
export const bindComplete: Buffer = fixed(backend.bindComplete)
export const closeComplete: Buffer = fixed(backend.closeComplete)
export const noData: Buffer = fixed(backend.noData)
export const emptyQueryResponse: Buffer = fixed(backend.emptyQueryResponse)

/** `status`: 'I', 'T' or 'E' as a byte. */
export function readyForQuery(status: number): Buffer {
  return writer.begin(backend.readyForQuery).byte(status).end().take()
}

export function commandComplete(tag: string): Buffer {
  return writer.begin(backend.commandComplete).string(tag).end().take()
}

export function parameterStatus(name: string, value: string): Buffer {
  return writer.begin(backend.parameterStatus).string(name).string(value).end().take()
}

/** Protocol 3.0 wants a 4-byte key, 3.2 allows 4 … 256 bytes. */
export function backendKeyData(processId: number, secretKey: Uint8Array): Buffer {
  return writer.begin(backend.backendKeyData).int32(processId).bytes(secretKey).end().take()
}

function fields(type: number, severity: string, facts: ErrorFacts): Buffer {
  writer.begin(type)
  writer.byte(0x53).string(severity).byte(0x56).string(severity)
  writer.byte(0x43).string(facts.sqlstate).byte(0x4d).string(facts.message)
  if (facts.detail !== undefined) writer.byte(0x44).string(facts.detail)
  if (facts.hint !== undefined) writer.byte(0x48).string(facts.hint)
  return writer.byte(0).end().take()
}

/** ErrorResponse with severity, SQLSTATE, message, detail and hint. */
export function errorResponse(facts: ErrorFacts): Buffer {
  return fields(backend.errorResponse, facts.severity ?? 'ERROR', facts)
}

export function noticeResponse(
  severity: 'NOTICE' | 'WARNING',
  facts: Omit<ErrorFacts, 'severity'>,
): Buffer {
  return fields(backend.noticeResponse, severity, facts)
}

/** One column of a result that pgsplit makes: text format, `typeOid` 25 text, 20 int8, 16 bool. */
export interface ResultColumn {
  readonly name: string
  readonly typeOid: number
}

export function rowDescription(columns: readonly ResultColumn[]): Buffer {
  writer.begin(backend.rowDescription).int16(columns.length)
  for (const column of columns) {
    const size = column.typeOid === 20 ? 8 : column.typeOid === 16 ? 1 : -1
    writer
      .string(column.name)
      .int32(0)
      .int16(0)
      .int32(column.typeOid)
      .int16(size)
      .int32(-1)
      .int16(0)
  }
  return writer.end().take()
}

export function dataRow(values: readonly (string | null)[]): Buffer {
  writer.begin(backend.dataRow).int16(values.length)
  for (const value of values) {
    if (value === null) writer.int32(-1)
    else {
      const bytes = Buffer.from(value)
      writer.int32(bytes.length).bytes(bytes)
    }
  }
  return writer.end().take()
}

export function parameterDescription(oids: readonly number[]): Buffer {
  writer.begin(backend.parameterDescription).int16(oids.length)
  for (const oid of oids) writer.int32(oid)
  return writer.end().take()
}

/** `minor`: the newest 3.x that we speak; `unrecognized`: the `_pq_.` options that we don't know. */
export function negotiateProtocolVersion(minor: number, unrecognized: readonly string[]): Buffer {
  writer
    .begin(backend.negotiateProtocolVersion)
    .int32((3 << 16) | minor)
    .int32(unrecognized.length)
  for (const name of unrecognized) writer.string(name)
  return writer.end().take()
}
