import { Writer } from './writer.ts'

const writer = new Writer(512)

/**
 * The ErrorResponse or NoticeResponse in `frame` (type and length included) with each field, its
 * one-letter code in front (protocol-error-fields), as `change` gives it. Fields are bytes, one
 * character each.
 */
export function changeFields(frame: Buffer, change: (field: string) => string): Buffer {
  const fields = frame.toString('latin1', 5).split('\0')
  return writer
    .begin(frame[0] as number)
    .bytes(Buffer.from(fields.map(change).join('\0'), 'latin1'))
    .end()
    .take()
}

/** The same with other values of some fields, by their codes. Fields that it has not are not added. */
export function replaceFields(frame: Buffer, values: Readonly<Record<string, string>>): Buffer {
  return changeFields(frame, (field) => {
    const value = values[field.charAt(0)]
    return value === undefined ? field : field.charAt(0) + Buffer.from(value).toString('latin1')
  })
}
