import { leftToRight, mappedToNothing, refused, rightToLeft, spaces } from './stringprep-tables.ts'

/** Code points, as where membership changes, ascending. */
type Table = readonly number[]

const isSpace = tableOf(spaces)
const isNothing = tableOf(mappedToNothing)
const isRefused = tableOf(refused)
const isRightToLeft = tableOf(rightToLeft)
const isLeftToRight = tableOf(leftToRight)

/**
 * A password as the bytes that SCRAM hashes: SASLprep (RFC 4013) of it or, where that fails
 * (prohibited, unassigned or wrongly mixed characters, nothing left), the bytes as they are.
 * PostgreSQL falls back in the same way on both of its ends (auth-scram.c). As `pg_saslprep` does,
 * and not as RFC 4013 has it, what is refused is looked for before normalization.
 */
export function saslprep(password: string): Buffer {
  return Buffer.from(prepared(password) ?? password)
}

/** null: it can't be prepared. */
function prepared(text: string): string | null {
  // Nothing is mapped there, and what is prohibited stays as it is in either case.
  if (/^\p{ASCII}*$/u.test(text)) return text
  const mapped = Array.from(text, pointOf)
    .map((point) => (has(isSpace, point) ? 0x20 : point))
    .filter((point) => !has(isNothing, point))
  const isFine = mapped.length > 0 && !mapped.some((point) => has(isRefused, point))
  if (!isFine || !isOneWay(mapped)) return null
  return mapped
    .map((point) => String.fromCodePoint(point))
    .join('')
    .normalize('NFKC')
}

/** RFC 3454, section 6: text that is read from the right begins and ends so, and has no other. */
function isOneWay(points: readonly number[]): boolean {
  if (!points.some((point) => has(isRightToLeft, point))) return true
  if (points.some((point) => has(isLeftToRight, point))) return false
  return [points.at(0), points.at(-1)].every((point) => has(isRightToLeft, point as number))
}

function pointOf(character: string): number {
  return character.codePointAt(0) as number
}

function tableOf(differences: string): Table {
  let point = 0
  return differences.split(' ').map((distance) => {
    point += Number.parseInt(distance, 16)
    return point
  })
}

/** Behind an odd number of changes. */
function has(table: Table, point: number): boolean {
  let from = 0
  let to = table.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if ((table[middle] as number) <= point) from = middle + 1
    else to = middle
  }
  return from % 2 === 1
}
