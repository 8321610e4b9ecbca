import { backend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'

/** Encoders of the authentication requests that pgsplit makes (protocol, "Message Formats"). */

const writer = new Writer(256)

export const authenticationOk: Buffer = writer.begin(backend.authentication).int32(0).end().take()

/** `salt`: 4 bytes. */
export function authenticationMd5(salt: Uint8Array): Buffer {
  return writer.begin(backend.authentication).int32(5).bytes(salt).end().take()
}

export function authenticationSasl(mechanisms: readonly string[]): Buffer {
  writer.begin(backend.authentication).int32(10)
  for (const mechanism of mechanisms) writer.string(mechanism)
  return writer.byte(0).end().take()
}

export function authenticationSaslContinue(data: string): Buffer {
  return writer.begin(backend.authentication).int32(11).bytes(Buffer.from(data)).end().take()
}

export function authenticationSaslFinal(data: string): Buffer {
  return writer.begin(backend.authentication).int32(12).bytes(Buffer.from(data)).end().take()
}
