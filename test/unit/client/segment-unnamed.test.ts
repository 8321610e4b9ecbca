import { describe, expect, it } from 'vitest'
import { SegmentUnnamed } from '../../../src/client/segment-unnamed.ts'
import type { UnnamedStatement } from '../../../src/client/unnamed.ts'
import type { ServerConnection } from '../../../src/server/server-connection.ts'
import { frontend } from '../../../src/wire/message-types.ts'

const statement = (serial: number): UnnamedStatement => ({
  serial,
  body: Buffer.alloc(0),
  bodyBytes: 0,
  own: null,
})
const [old, first, second] = [statement(1), statement(2), statement(3)]

/** A server connection whose unnamed statement is this; null: surely none. */
const having = (serial: number | null) =>
  ({
    hasUnnamed: (asked: number) => asked === serial,
    lacksUnnamed: serial === null,
  }) as ServerConnection

/** `done` messages of the segment have been answered. */
const upTo = (done: number) => (unit: number) => unit < done

describe('what a segment uses of the unnamed statement', () => {
  it('is sent in front of its first use, once, to a connection that lacks it', () => {
    const segment = new SegmentUnnamed()
    expect(segment.mustSend(having(7))).toBe(false)
    segment.use(old, 2, 40)
    segment.use(old, 5, 90)
    expect([segment.earlierUnit, segment.earlierStart]).toEqual([2, 40])
    expect([segment.mustSend(having(7)), segment.mustSend(having(1))]).toEqual([true, false])
    segment.noteSent()
    expect(segment.mustSend(having(7))).toBe(false)
    segment.forgetSent()
    expect(segment.mustSend(having(7))).toBe(true)
  })

  it("is none, and then not another client's", () => {
    const segment = new SegmentUnnamed()
    expect(segment.mustClear(having(7))).toBe(false)
    segment.use(null, 0, 0)
    expect([segment.mustClear(having(7)), segment.mustClear(having(null))]).toEqual([true, false])
    expect(segment.mustSend(having(7))).toBe(false)
  })

  it('is its own once it has made one', () => {
    const segment = new SegmentUnnamed()
    segment.noteChange(0, old, null, null)
    segment.noteParse(0, first)
    segment.use(first, 1, 10)
    expect([segment.earlier, segment.isParsed, segment.serial]).toEqual([null, true, 2])
  })
})

describe('what a segment that has failed leaves of the unnamed statement', () => {
  const { parse, bind, close } = frontend
  const make = (...kinds: number[]): SegmentUnnamed => {
    const segment = new SegmentUnnamed()
    let before: UnnamedStatement | null = old
    for (const [unit, kind] of kinds.entries()) {
      if (kind === bind) continue
      segment.noteChange(unit, before, null, null)
      before = kind === parse ? (before === old ? first : second) : null
      if (before === null) segment.noteClose()
      else segment.noteParse(unit, before)
    }
    return segment
  }

  it('is as it was if it has changed nothing, or all of it was done', () => {
    expect(make(bind).kept([bind], upTo(0))).toBeNull()
    expect(make(parse).kept([parse], upTo(1))).toBeNull()
    expect(make(parse).last).toBe(first)
    expect(make(parse, close).last).toBeNull()
  })

  it('is nothing behind a Parse that failed, which drops the old one first', () => {
    expect(make(bind, parse).kept([bind, parse], upTo(1))?.unnamed).toBeNull()
  })

  it('is the old one if the failure came before', () => {
    const kept = make(bind, parse).kept([bind, parse], upTo(0))
    expect([kept?.unnamed, kept?.isOfSegment]).toEqual([old, false])
    expect(make(bind, close).kept([bind, close], upTo(1))?.unnamed).toBe(old)
  })

  it('is one of its own if that was done and the next was not reached', () => {
    const kinds = [parse, bind, parse]
    const kept = make(...kinds).kept(kinds, upTo(1))
    expect([kept?.unnamed, kept?.isOfSegment]).toEqual([first, true])
    expect(make(...kinds).isParseDone(upTo(2))).toBe(false)
    expect(make(...kinds).isParseDone(upTo(3))).toBe(true)
    expect(make(bind).isParseDone(upTo(3))).toBeNull()
  })
})
