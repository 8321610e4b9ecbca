import type postgres from 'postgres'
import { arrayText, parseArray } from './array-text.ts'

/**
 * Every type that has arrays. postgres.js asks the same on each new connection (`fetch_types`), but
 * lets an unhandled rejection end the process when the connection is lost meanwhile.
 */
export const arrayTypesSql = `SELECT oid::text, typarray::text, typdelim::text
  FROM pg_catalog.pg_type WHERE typarray <> 0`

/** A row of `arrayTypesSql`. */
export type ArrayType = readonly [elementOid: string, listOid: string, delimiter: string]

/** Lets the connection read and write these arrays, but for those that have their own functions. */
export function addArrayTypes(
  { parsers, serializers, transform }: postgres.ParsedOptions,
  types: Iterable<ArrayType>,
): void {
  for (const [elementOid, listOid, delimiter] of types) {
    const element = Number(elementOid)
    const list = Number(listOid)
    if (parsers[list] !== undefined && serializers[list] !== undefined) continue
    parsers[list] = (text: string) => {
      const read = parsers[element]
      return parseArray(text, (value) => (read === undefined ? value : read(value)), delimiter)
    }
    serializers[list] = (value: unknown) => {
      if (!Array.isArray(value)) return value
      const write = serializers[element]
      const textOf = (one: unknown): string | null => {
        const given = one === undefined ? transform.undefined : one
        if (given === undefined) throw undefinedValue()
        if (given === null) return null
        return String(write === undefined ? given : write(given))
      }
      return arrayText(value, textOf, delimiter)
    }
  }
}

function undefinedValue(): Error {
  return Object.assign(new Error('UNDEFINED_VALUE: Undefined values are not allowed'), {
    code: 'UNDEFINED_VALUE',
  })
}
