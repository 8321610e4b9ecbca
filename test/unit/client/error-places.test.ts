import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { originalPlace } from '../../../src/client/error-places.ts'
import { type Edit, edited, type NamedText } from '../../../src/client/named-text.ts'

function namedText(original: Buffer, edits: readonly Edit[]): NamedText {
  const text = edited(original, edits)
  const cls = {} as NamedText['cls']
  return {
    original,
    outer: cls,
    text,
    edits,
    cls,
    needs: [],
    absent: [],
    steps: [],
    takenName: null,
    hasUnknown: false,
    pointsInto: null,
    body: null,
  }
}

const piece = fc.string({ unit: fc.constantFrom('a', ' ', 'é', '€', '😀'), maxLength: 6 })

describe('a place in a text whose names were replaced', () => {
  it('is the same character in the text of the client', () => {
    const parts = fc.array(fc.tuple(piece, piece, piece), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(parts, piece, (list, tail) => {
        const edits: Edit[] = []
        const places: [sent: number, own: number][] = []
        let original = ''
        let sent = ''
        const both = (text: string): void => {
          for (const char of text) {
            places.push([[...sent].length + 1, [...original].length + 1])
            original += char
            sent += char
          }
        }
        for (const [before, name, ours] of list) {
          both(before)
          const from = Buffer.byteLength(original)
          const own = [...original].length + 1
          original += name
          for (const char of ours) {
            places.push([[...sent].length + 1, own])
            sent += char
          }
          edits.push({ from, to: Buffer.byteLength(original), bytes: Buffer.from(ours) })
        }
        both(tail)
        const names = namedText(Buffer.from(original), edits)
        expect(names.text.toString()).toBe(sent)
        for (const [place, own] of places) {
          expect(originalPlace(names, place, true, false)).toBe(own)
        }
      }),
    )
  })

  it('counts bytes where characters can not be told', () => {
    const names = namedText(Buffer.from([0xe9, 0x20, 0x73, 0x20, 0x78]), [
      { from: 2, to: 3, bytes: Buffer.from('pgsplit_1') },
    ])
    expect(originalPlace(names, 13, false, false)).toBe(5)
  })
})
