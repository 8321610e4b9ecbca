import { frontend } from './message-types.ts'
import { Writer } from './writer.ts'

/** Encoders of the messages that pgsplit itself says to servers. */

const writer = new Writer(1024)

export const sync: Buffer = writer.begin(frontend.sync).end().take()
export const flush: Buffer = writer.begin(frontend.flush).end().take()
export const terminate: Buffer = writer.begin(frontend.terminate).end().take()

export function query(text: string): Buffer {
  return writer.begin(frontend.query).string(text).end().take()
}

/** One statement by the extended protocol, up to Sync: `$1` … are `values`, all in text form. */
export function textQuery(text: string, values: readonly (string | null)[]): Buffer {
  writer.begin(frontend.parse).string('').string(text).int16(0).end()
  writer.begin(frontend.bind).string('').string('').int16(0).int16(values.length)
  for (const value of values) {
    if (value === null) {
      writer.int32(-1)
      continue
    }
    const bytes = Buffer.from(value)
    writer.int32(bytes.length).bytes(bytes)
  }
  writer.int16(0).end()
  writer.begin(frontend.describe).byte(0x50).string('').end()
  writer.begin(frontend.execute).string('').int32(0).end()
  return writer.begin(frontend.sync).end().take()
}

/** Gives up a COPY … FROM STDIN; `why` is in the server's error. */
export function copyFail(why: string): Buffer {
  return writer.begin(frontend.copyFail).string(why).end().take()
}

/** Close of a prepared statement (`S`) or portal (`P`). */
export function close(kind: 'S' | 'P', name: string): Buffer {
  return writer.begin(frontend.close).byte(kind.charCodeAt(0)).string(name).end().take()
}

/** PasswordMessage, SASLResponse (`bytes` as they are). */
export function passwordBytes(bytes: Uint8Array): Buffer {
  return writer.begin(frontend.password).bytes(bytes).end().take()
}

export function passwordMessage(password: string): Buffer {
  return writer.begin(frontend.password).string(password).end().take()
}

export function saslInitialResponse(mechanism: string, response: Uint8Array): Buffer {
  return writer
    .begin(frontend.password)
    .string(mechanism)
    .int32(response.length)
    .bytes(response)
    .end()
    .take()
}

/** StartupMessage; `minor` 0 or 2. */
export function startupMessage(
  minor: number,
  parameters: Iterable<readonly [string, string]>,
): Buffer {
  writer.begin(0).int32((3 << 16) | minor)
  for (const [name, value] of parameters) writer.string(name).string(value)
  return writer.byte(0).end().take()
}

export function sslRequest(): Buffer {
  return writer.begin(0).int32(80877103).end().take()
}

export function cancelRequest(processId: number, secretKey: Uint8Array): Buffer {
  return writer.begin(0).int32(80877102).int32(processId).bytes(secretKey).end().take()
}
