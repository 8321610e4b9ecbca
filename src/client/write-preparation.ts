import { frontend } from '../wire/message-types.ts'
import type { Writer } from '../wire/writer.ts'
import type { PreparedStatement } from './prepared-statement.ts'

/** Runs our own PREPARE beside whatever unnamed statement and portal the client has. */
export const ownPortal = 'pgsplit_prepare'

/**
 * Writes the messages that prepare `statement` under its server name; returns how many of them the
 * server answers. SQL PREPARE goes by the extended protocol, too: its parameters' types are names.
 */
export function writePreparation(writer: Writer, statement: PreparedStatement): number {
  const { serverName, body, spots } = statement
  if (spots === null) {
    writer.begin(frontend.parse).string(serverName).bytes(body).end()
    return 1
  }
  // One that failed has left it.
  writeClose(writer, 0x53, ownPortal)
  writer.begin(frontend.parse).string(ownPortal)
  writer.bytes(body, 0, spots.from).bytes(Buffer.from(serverName)).bytes(body, spots.to)
  writer.byte(0).int16(0).end()
  writer.begin(frontend.bind).string(ownPortal).string(ownPortal).int16(0).int16(0).int16(0).end()
  writer.begin(frontend.execute).string(ownPortal).int32(0).end()
  writeClose(writer, 0x50, ownPortal)
  writeClose(writer, 0x53, ownPortal)
  return 6
}

/** Close of a prepared statement (0x53) or a portal (0x50), which need not exist. */
export function writeClose(writer: Writer, kind: 0x50 | 0x53, name: string): void {
  writer.begin(frontend.close).byte(kind).string(name).end()
}
