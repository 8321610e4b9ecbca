import { Writer } from './writer.ts'

const writer = new Writer(512)

/**
 * The ErrorResponse or NoticeResponse in `frame` (type and length included) with other values of some
 * fields, by their one-letter codes (protocol-error-fields). Fields that it has not are not added.
 */
export function replaceFields(frame: Buffer, values: Readonly<Record<string, string>>): Buffer {
  const fields = frame.toString('latin1', 5).split('\0')
  const replaced = fields.map((field) => {
    const value = values[field.charAt(0)]
    return value === undefined ? field : field.charAt(0) + Buffer.from(value).toString('latin1')
  })
  return writer
    .begin(frame[0] as number)
    .bytes(Buffer.from(replaced.join('\0'), 'latin1'))
    .end()
    .take()
}
