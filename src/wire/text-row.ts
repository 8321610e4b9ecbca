import { Cursor } from './cursor.ts'

/** Values in text form, in the order of the columns. */
export type TextRow = readonly (string | null)[]

/** The values of a whole DataRow, `buffer[start, end)`. `latin1` keeps the bytes, one character each. */
export function textRow(
  buffer: Buffer,
  start: number,
  end: number,
  encoding: 'utf8' | 'latin1',
): TextRow {
  const cursor = new Cursor(buffer, start + 5, end)
  const row: (string | null)[] = []
  for (let left = cursor.uint16(); left > 0; left--) {
    const size = cursor.int32()
    row.push(size < 0 ? null : cursor.bytes(size).toString(encoding))
  }
  return row
}
