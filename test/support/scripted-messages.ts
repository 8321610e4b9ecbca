import { decodeErrorFields } from '../../src/wire/error-fields.ts'
import { Writer } from '../../src/wire/writer.ts'

/** One message with a type byte, as tests look at it. */
export interface Frame {
  readonly type: string
  readonly body: Buffer
}

/** Cuts a byte stream into frames; throws on a length that can't be. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0)

  push(chunk: Buffer): Frame[] {
    this.#rest = Buffer.concat([this.#rest, chunk])
    const frames: Frame[] = []
    let at = 0
    while (this.#rest.length - at >= 5) {
      const length = this.#rest.readInt32BE(at + 1)
      if (length < 4) throw new Error(`frame of length ${length} at ${at}`)
      if (this.#rest.length - at < length + 1) break
      const type = String.fromCharCode(this.#rest.readUInt8(at))
      frames.push({ type, body: this.#rest.subarray(at + 5, at + 1 + length) })
      at += length + 1
    }
    this.#rest = this.#rest.subarray(at)
    return frames
  }

  /** Bytes of an incomplete frame. */
  get rest(): number {
    return this.#rest.length
  }
}

export function message(type: string, write: (body: Writer) => unknown = () => undefined): Buffer {
  const writer = new Writer()
  writer.begin(type.charCodeAt(0))
  write(writer)
  return writer.end().take()
}

/** What clients say. */
export const front = {
  query: (text: string): Buffer => message('Q', (w) => w.string(text)),
  parse: (name: string, text: string, oids: readonly number[] = []): Buffer =>
    message('P', (w) => {
      w.string(name).string(text).int16(oids.length)
      for (const oid of oids) w.int32(oid)
    }),
  bind: (name: string, portal = '', values: readonly (string | null)[] = []): Buffer =>
    message('B', (w) => {
      w.string(portal).string(name).int16(0).int16(values.length)
      for (const value of values) {
        if (value === null) w.int32(-1)
        else w.int32(Buffer.byteLength(value)).bytes(Buffer.from(value))
      }
      w.int16(0)
    }),
  describe: (kind: 'S' | 'P', name = ''): Buffer =>
    message('D', (w) => w.byte(kind.charCodeAt(0)).string(name)),
  execute: (portal = '', maxRows = 0): Buffer =>
    message('E', (w) => w.string(portal).int32(maxRows)),
  close: (kind: 'S' | 'P', name = ''): Buffer =>
    message('C', (w) => w.byte(kind.charCodeAt(0)).string(name)),
  sync: message('S'),
  flush: message('H'),
  terminate: message('X'),
  copyData: (text: string | Buffer): Buffer => message('d', (w) => w.bytes(Buffer.from(text))),
  copyDone: message('c'),
  copyFail: (why: string): Buffer => message('f', (w) => w.string(why)),
  functionCall: (oid: number): Buffer =>
    message('F', (w) => w.int32(oid).int16(0).int16(0).int16(0)),
  /** Parse, Bind, Execute of one unnamed statement, without Sync. */
  run: (text: string): Buffer =>
    Buffer.concat([front.parse('', text), front.bind(''), front.execute()]),
}

/** What servers say and pgsplit never does. */
export const back = {
  notification: (processId: number, channel: string, payload: string): Buffer =>
    message('A', (w) => w.int32(processId).string(channel).string(payload)),
  copyInResponse: message('G', (w) => w.byte(0).int16(0)),
  copyOutResponse: message('H', (w) => w.byte(0).int16(0)),
  copyData: (text: string | Buffer): Buffer => message('d', (w) => w.bytes(Buffer.from(text))),
  copyDone: message('c'),
  portalSuspended: message('s'),
  functionCallResponse: message('V', (w) => w.int32(-1)),
  /** With severity, SQLSTATE, message and routine, as servers send it. */
  error: (facts: {
    readonly sqlstate: string
    readonly message: string
    readonly severity?: string
    readonly routine?: string
  }): Buffer =>
    message('E', (w) => {
      const severity = facts.severity ?? 'ERROR'
      w.byte(0x53).string(severity).byte(0x56).string(severity)
      w.byte(0x43).string(facts.sqlstate).byte(0x4d).string(facts.message)
      if (facts.routine !== undefined) w.byte(0x52).string(facts.routine)
      w.byte(0)
    }),
}

function firstString(body: Buffer, at = 0): string {
  return body.toString('utf8', at, body.indexOf(0, at))
}

function rowText(body: Buffer): string {
  const values: string[] = []
  let at = 2
  for (let i = body.readInt16BE(0); i > 0; i--) {
    const size = body.readInt32BE(at)
    at += 4
    if (size < 0) values.push('null')
    else {
      values.push(size > 60 ? `${size} bytes` : body.toString('utf8', at, at + size))
      at += size
    }
  }
  return values.join('|')
}

/** `T`, `D r1`, `C SELECT 1`, `Z I`, `E 25P02`, `N 25001`, `S name=value`, `A channel` … */
export function frameText(frame: Frame): string {
  try {
    return readFrame(frame)
  } catch {
    return `${frame.type} broken`
  }
}

function readFrame({ type, body }: Frame): string {
  switch (type) {
    case 'D':
      return `D ${rowText(body)}`
    case 'C':
      return `C ${firstString(body)}`
    case 'Z':
      return `Z ${String.fromCharCode(body.readUInt8(0))}`
    case 'E':
    case 'N':
      return `${type} ${decodeErrorFields(body, 0, body.length).sqlstate}`
    case 'S': {
      const name = firstString(body)
      return `S ${name}=${firstString(body, Buffer.byteLength(name) + 1)}`
    }
    case 'A':
      return `A ${firstString(body, 4)}`
    case 'd':
      return `d ${body.length > 60 ? `${body.length} bytes` : body.toString()}`
    default:
      return type
  }
}
