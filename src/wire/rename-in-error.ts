import { backend } from './message-types.ts'
import { Writer } from './writer.ts'

const writer = new Writer(512)

/**
 * The ErrorResponse in `frame` (type and length included) with the quoted names of its message (field
 * M) replaced as `nameOf` says; null keeps a name. Names are bytes, one character each.
 */
export function renameInError(frame: Buffer, nameOf: (name: string) => string | null): Buffer {
  const fields = frame.toString('latin1', 5).split('\0')
  const renamed = fields.map((field) =>
    field.startsWith('M')
      ? field.replace(/"([^"]*)"/g, (all, name: string) => {
          const found = nameOf(name)
          return found === null ? all : `"${found}"`
        })
      : field,
  )
  const bytes = Buffer.from(renamed.join('\0'), 'latin1')
  return writer.begin(backend.errorResponse).bytes(bytes).end().take()
}
