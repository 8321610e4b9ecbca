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
import { frontend, txStatus } from '../wire/message-types.ts'
import { adminActions, type ProxyControl } from './admin-actions.ts'
import { adminSource } from './admin-view.ts'
import type { FrontDoor } from './front-door.ts'

const maxFrameBytes = 64 * 1024

/** Frames that come in while a command takes its time, until no more is read. */
const maxHeld = 16

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

interface Frame {
  readonly type: number
  readonly body: Buffer
}

/** Lets an administrator talk to the admin database over its link. */
export function openAdmin(
  door: FrontDoor,
  login: ClientLogin,
  control: ProxyControl,
  onClose: () => void,
): void {
  const { link } = login
  const mayAct = door.roleOf(login.user) === 'operator'
  const session = new AdminSession(adminSource(door), mayAct ? adminActions(door, control) : null)
  const { processId, key } = door.adminKeys.add(login.protocolMinor, () => session.cancel())
  /** What came in while a command takes its time; null: none does. */
  let held: Frame[] | null = null
  const say = (answer: Buffer | null): void => {
    if (answer !== null) link.write(answer)
    if (answer === null || session.ended) link.end()
  }
  const take = (type: number, body: Buffer): void => {
    if (link.isClosed) return
    const answer = session.handle(type, body)
    if (!(answer instanceof Promise)) {
      say(answer)
      return
    }
    const waiting: Frame[] = []
    held = waiting
    void answer.then((late) => {
      held = null
      if (link.isClosed) return
      say(late)
      while (held === null) {
        const next = waiting.shift()
        if (next === undefined) break
        take(next.type, next.body)
      }
      // Another one of them takes its time: the rest waits behind it.
      if (held === null) link.resume()
      else (held as Frame[]).push(...waiting)
    })
  }
  const framer = new Framer(
    {
      isWhole: () => true,
      onPart: () => {},
      onFrame: (type, buffer, start, end) => {
        const body = buffer.subarray(start + 5, end)
        if (held === null) take(type, body)
        else {
          // Who leaves, or asks much more, doesn't wait for it.
          if (type === frontend.terminate) session.cancel()
          held.push({ type, body: Buffer.from(body) })
          if (held.length >= maxHeld) link.pause()
        }
      },
    },
    maxFrameBytes,
  )
  link.onChunk = (chunk, share) => {
    try {
      return framer.push(chunk, share)
    } catch (error) {
      const facts = error instanceof ProtocolError ? error.facts('FATAL') : null
      if (facts !== null) link.write(errorResponse(facts))
      link.end()
      return chunk.length
    }
  }
  link.onClose = () => {
    door.adminKeys.remove(processId)
    session.cancel()
    onClose()
  }
  for (const [name, value] of reported) link.write(parameterStatus(name, value))
  link.write(backendKeyData(processId, key))
  link.write(readyForQuery(txStatus.idle))
  link.offer(login.leftover)
  link.resume()
}
