import { AdminSession } from '../admin/admin-session.ts'
import { claimedServerVersion } from '../admin/driver-probes.ts'
import type { ClientLogin } from '../client/startup.ts'
import { ProtocolError } from '../errors.ts'
import {
  backendKeyData,
  errorResponse,
  parameterStatus,
  readyForQuery,
} from '../wire/backend-messages.ts'
import { Framer } from '../wire/framer.ts'
import { txStatus } from '../wire/message-types.ts'
import { adminSource } from './admin-view.ts'
import type { FrontDoor } from './front-door.ts'

const maxFrameBytes = 64 * 1024

const reported: readonly (readonly [string, string])[] = [
  ['server_version', claimedServerVersion],
  ['server_encoding', 'UTF8'],
  ['client_encoding', 'UTF8'],
  ['DateStyle', 'ISO, MDY'],
  ['TimeZone', 'UTC'],
  ['integer_datetimes', 'on'],
  ['standard_conforming_strings', 'on'],
  ['is_superuser', 'on'],
]

/** Lets an administrator talk to the admin database over its link. */
export function openAdmin(door: FrontDoor, login: ClientLogin): void {
  const { link } = login
  const session = new AdminSession(adminSource(door))
  const framer = new Framer(
    {
      isWhole: () => true,
      onPart: () => {},
      onFrame: (type, buffer, start, end) => {
        if (link.isClosed) return
        const answer = session.handle(type, buffer.subarray(start + 5, end))
        if (answer !== null) link.write(answer)
        if (answer === null || session.ended) link.end()
      },
    },
    maxFrameBytes,
  )
  link.onChunk = (chunk) => {
    try {
      framer.push(chunk)
    } catch (error) {
      const facts = error instanceof ProtocolError ? error.facts('FATAL') : null
      if (facts !== null) link.write(errorResponse(facts))
      link.end()
    }
  }
  link.onClose = () => {}
  for (const [name, value] of reported) link.write(parameterStatus(name, value))
  link.write(backendKeyData(0, Buffer.alloc(login.protocolMinor >= 2 ? 32 : 4)))
  link.write(readyForQuery(txStatus.idle))
  if (login.leftover.length > 0) link.onChunk(login.leftover)
  link.resume()
}
