import { backend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import type { Cell, Column, ColumnType } from './result.ts'

/** 0 text, 1 binary, as in Bind's result format codes. */
export type Format = 0 | 1

const types = {
  text: { oid: 25, size: -1 },
  int8: { oid: 20, size: 8 },
  float8: { oid: 701, size: 8 },
} as const satisfies Record<ColumnType, { oid: number; size: number }>

/** RowDescription; `formats` has one entry per column, or none: all text. */
export function encodeRowDescription(
  columns: readonly Column[],
  formats: readonly Format[],
): Buffer {
  const names = columns.reduce((sum, { name }) => sum + Buffer.byteLength(name), 0)
  const writer = new Writer(7 + names + columns.length * 19)
  writer.begin(backend.rowDescription).int16(columns.length)
  for (const [index, { name, type }] of columns.entries()) {
    const { oid, size } = types[type]
    writer.string(name).int32(0).int16(0).int32(oid).int16(size).int32(-1)
    writer.int16(formats[index] ?? 0)
  }
  return writer.end().take()
}

/** DataRow. pgx and JDBC ask for binary, so both formats are spoken. */
export function encodeDataRow(
  columns: readonly Column[],
  formats: readonly Format[],
  row: readonly Cell[],
): Buffer {
  const cells = columns.map(({ type }, index) => {
    return encodeCell(type, row[index] ?? null, formats[index] ?? 0)
  })
  const writer = new Writer(cells.reduce((sum, cell) => sum + 4 + (cell?.length ?? 0), 7))
  writer.begin(backend.dataRow).int16(cells.length)
  for (const cell of cells) {
    if (cell === null) writer.int32(-1)
    else writer.int32(cell.length).bytes(cell)
  }
  return writer.end().take()
}

function encodeCell(type: ColumnType, cell: Cell, format: Format): Buffer | null {
  if (cell === null) return null
  if (type === 'text') return Buffer.from(String(cell))
  if (type === 'float8') {
    const value = Number(cell)
    if (format === 0) return Buffer.from(String(value))
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleBE(value)
    return bytes
  }
  // A count that is not finite is a count that nobody has: NULL, not an error in the whole table.
  if (typeof cell !== 'bigint' && !Number.isFinite(Number(cell))) return null
  const value = BigInt.asIntN(
    64,
    typeof cell === 'bigint' ? cell : BigInt(Math.trunc(Number(cell))),
  )
  if (format === 0) return Buffer.from(value.toString())
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(value)
  return bytes
}
