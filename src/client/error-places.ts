import { type Edit, edited, type NamedText } from './named-text.ts'

/**
 * Where in the client's text is what the server calls the character at `place` (from 1) of the text
 * that it got? `isUtf8`: characters are UTF-8, else bytes. `isInFront`: it met a statement on the
 * way to being prepared.
 */
export function originalPlace(
  names: NamedText,
  place: number,
  isUtf8: boolean,
  isInFront: boolean,
): number {
  const pointsInto = isInFront ? (names.needs[0] ?? null) : names.pointsInto
  const spots = pointsInto?.spots ?? null
  if (pointsInto !== null && spots === null) return place
  if (pointsInto === null || spots === null)
    return placeIn(names.original, names.edits, place, isUtf8)
  const { from, to } = spots
  const name = Buffer.from(pointsInto.serverName)
  return placeIn(pointsInto.body, [{ from, to, bytes: name }], place, isUtf8)
}

function placeIn(original: Buffer, edits: readonly Edit[], place: number, isUtf8: boolean): number {
  const text = edited(original, edits)
  const at = bytesOf(text, place - 1, isUtf8)
  // What was added so far in front of `at`.
  let added = 0
  for (const { from, to, bytes } of edits) {
    const start = from + added
    if (at < start) break
    if (at < start + bytes.length) return charactersOf(original, from, isUtf8) + 1
    added += bytes.length - (to - from)
  }
  return charactersOf(original, at - added, isUtf8) + 1
}

/** Bytes that the first `characters` of `text` take. */
function bytesOf(text: Buffer, characters: number, isUtf8: boolean): number {
  if (!isUtf8) return characters
  let left = characters
  let at = 0
  while (at < text.length && left > 0) {
    at++
    while (((text[at] ?? 0) & 0xc0) === 0x80) at++
    left--
  }
  return at + left
}

function charactersOf(text: Buffer, bytes: number, isUtf8: boolean): number {
  if (!isUtf8) return bytes
  let count = 0
  for (let at = 0; at < bytes; at++) if (((text[at] ?? 0) & 0xc0) !== 0x80) count++
  return count
}
