import type { StatementClass, Verdict } from '../sql/statement-class.ts'
import { copyBytes } from '../wire/copy-bytes.ts'
import { Writer } from '../wire/writer.ts'
import { bareSyncClass } from './fixed-class.ts'
import type { Request } from './request.ts'

/** Entry of `Request.kinds` for a Describe of a portal; Describe of a statement is 0x44. */
export const describePortal = 0x64
/** Entry of `Request.kinds` for a Close that only the session answers. */
export const inventedClose = 0

const strength: Record<Verdict, number> = { either: 0, replica: 1, control: 2, primary: 3, pin: 4 }

/** For messages that are rewritten on their way into a segment; empty between two calls. */
export const writer = new Writer(512)

/** Appends raw bytes to what the segment sends. */
export function appendToSegment(segment: Request, bytes: Buffer, start: number, end: number): void {
  const at = makeRoom(segment, end - start)
  copyBytes(bytes, start, end, segment.bytes, at)
}

/** Where the next `size` bytes of the segment go, which count as there from here on. */
function makeRoom(segment: Request, size: number): number {
  const at = segment.size
  const needed = at + size
  if (needed > segment.bytes.length) {
    const grown = Buffer.allocUnsafe(Math.max(needed, segment.bytes.length * 2))
    segment.bytes.copy(grown, 0, 0, at)
    segment.bytes = grown
  }
  segment.size = needed
  return at
}

/** Appends what `writer` holds. */
export function appendWriter(segment: Request): void {
  const at = makeRoom(segment, writer.length)
  writer.takeInto(segment.bytes, at)
}

/** The strongest class of the segment decides where it goes. */
export function mergeClass(segment: Request, cls: StatementClass, isLastWord = false): void {
  if (segment.guard !== null) segment.guard.note(cls)
  if (!cls.ignoresCustoms) segment.seesCustoms = true
  const isFirst = segment.kinds.length === 0 || segment.cls === bareSyncClass
  if (isLastWord || isFirst) segment.cls = cls
  else if (strength[cls.verdict] > strength[segment.cls.verdict]) segment.cls = cls
}
