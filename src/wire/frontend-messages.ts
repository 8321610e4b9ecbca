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
