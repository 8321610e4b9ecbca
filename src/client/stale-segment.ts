import { Cursor } from '../wire/cursor.ts'
import { frontend } from '../wire/message-types.ts'
import type { PreparedStatement } from './prepared-statement.ts'
import type { Request } from './request.ts'
import { writer } from './segment-parts.ts'

interface Frame {
  readonly type: number
  readonly start: number
  readonly end: number
}

function* framesOf({ bytes, size }: Request): Generator<Frame> {
  for (let start = 0; start + 5 <= size; ) {
    const end = start + 1 + bytes.readInt32BE(start + 1)
    yield { type: bytes[start] as number, start, end }
    start = end
  }
}

/**
 * Is whatever the segment executes of this statement described by the segment itself, or parsed anew?
 * A client that goes by an older description must not get rows of another shape.
 */
export function describesFirst(request: Request, serverName: string): boolean {
  let isDescribed = false
  /** Portals of the statement, and whether the client knows their columns. */
  const portals = new Map<string, boolean>()
  for (const { type, start, end } of framesOf(request)) {
    const cursor = new Cursor(request.bytes, start + 5, end)
    if (type === frontend.parse) {
      if (cursor.string() === serverName) isDescribed = true
    } else if (type === frontend.bind) {
      const portal = cursor.string()
      if (cursor.string() === serverName) portals.set(portal, isDescribed)
      else portals.delete(portal)
    } else if (type === frontend.describe) {
      const isStatement = cursor.byte() === 0x53
      const name = cursor.string()
      if (isStatement) isDescribed ||= name === serverName
      else if (portals.has(name)) portals.set(name, true)
    } else if (type === frontend.execute && portals.get(cursor.string()) === false) return false
  }
  return true
}

/** Puts `fresh` in the place of `old` in what the segment sends. */
export function swapInSegment(
  request: Request,
  old: PreparedStatement,
  fresh: PreparedStatement,
): void {
  const { parses, needs } = request
  const newParses = [...parses]
  const newNeeds = [...needs]
  const unnamedStart = request.unnamed.earlierStart
  for (const { type, start, end } of framesOf(request)) {
    const at = writer.length
    const cursor = new Cursor(request.bytes, start + 5, end)
    let isNamed = false
    let portal = ''
    let kind = 0
    if (type === frontend.parse) isNamed = cursor.string() === old.serverName
    else if (type === frontend.bind) {
      portal = cursor.string()
      isNamed = cursor.string() === old.serverName
    } else if (type === frontend.describe) {
      kind = cursor.byte()
      isNamed = kind === 0x53 && cursor.string() === old.serverName
    }
    if (!isNamed) writer.bytes(request.bytes, start, end)
    else {
      writer.begin(type)
      if (type === frontend.bind) writer.string(portal)
      if (type === frontend.describe) writer.byte(kind)
      writer.string(fresh.serverName).bytes(request.bytes, cursor.at, end).end()
    }
    for (const [i, need] of needs.entries()) {
      if (need.start !== start) continue
      const statement = need.statement === old ? fresh : need.statement
      newNeeds[i] = { statement, unit: need.unit, start: at }
    }
    if (start === unnamedStart) request.unnamed.moveEarlier(at)
    const index = parses.findIndex((range) => range.start === start)
    const range = parses[index]
    if (range !== undefined) {
      const statement = range.statement === old ? fresh : range.statement
      newParses[index] = { ...range, start: at, end: writer.length, statement }
    }
  }
  request.bytes = writer.take()
  request.size = request.bytes.length
  request.parses = newParses
  request.needs = newNeeds
}
