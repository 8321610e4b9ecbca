import { bind, execute, int32, message, parse, sync } from './raw-client.ts'

/** Frames that raw-client.ts has no short form for. */

export { bind, close, describe, execute, flush, int32, message, parse, sync } from './raw-client.ts'

export const query = (text: string): Buffer => message('Q', text)

/** Parse with type OIDs. */
export const parseTyped = (name: string, text: string, ...oids: readonly number[]): Buffer =>
  message('P', name, text, oids.length, ...oids.map(int32))

export interface BindParts {
  readonly portal?: string
  readonly statement?: string
  readonly formats?: readonly number[]
  readonly values?: readonly (string | Uint8Array | null)[]
  readonly results?: readonly number[]
}

/** Bind with formats and NULLs. */
export function bindWith(parts: BindParts): Buffer {
  const { portal = '', statement = '', formats = [], values = [], results = [] } = parts
  return message(
    'B',
    portal,
    statement,
    formats.length,
    ...formats,
    values.length,
    ...values.flatMap((value) => {
      if (value === null) return [int32(-1)]
      const bytes = typeof value === 'string' ? Buffer.from(value) : value
      return [int32(bytes.length), bytes]
    }),
    results.length,
    ...results,
  )
}

/** Unnamed Parse, Bind, Describe of the portal and Execute, as drivers do. */
export function run(text: string, ...values: readonly string[]): Buffer[] {
  return [parse('', text), bind('', '', ...values), message('D', Buffer.from('P'), ''), execute()]
}

/** `run` without Describe. */
export function quick(text: string, ...values: readonly string[]): Buffer[] {
  return [parse('', text), bind('', '', ...values), execute()]
}

export const copyData = (text: string | Uint8Array): Buffer => message('d', Buffer.from(text))
export const copyDone: Buffer = message('c')
export const copyFail = (reason: string): Buffer => message('f', reason)

/** FunctionCall with arguments in text. */
export function call(oid: number, ...values: readonly (string | null)[]): Buffer {
  return message(
    'F',
    int32(oid),
    1,
    0,
    values.length,
    ...values.flatMap((value) =>
      value === null ? [int32(-1)] : [int32(Buffer.byteLength(value)), Buffer.from(value)],
    ),
    0,
  )
}

/** Several texts as a pipeline, each with its own Sync. */
export function pipeline(...texts: readonly string[]): Buffer[] {
  return texts.flatMap((text) => [...run(text), sync])
}
