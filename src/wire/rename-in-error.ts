import { changeFields } from './change-fields.ts'

/**
 * The ErrorResponse or NoticeResponse in `frame` (type and length included) with the quoted names of
 * its message (field M) replaced as `nameOf` says; null keeps a name. Names are bytes, one character
 * each. `placeOf` gives the place in the client's text (field P) for that in the server's.
 */
export function renameInError(
  frame: Buffer,
  nameOf: (name: string) => string | null,
  placeOf: ((place: number) => number) | null = null,
): Buffer {
  return changeFields(frame, (field) => {
    if (field.startsWith('M')) {
      return field.replace(/"([^"]*)"/g, (all, name: string) => {
        const found = nameOf(name)
        return found === null ? all : `"${found}"`
      })
    }
    const isPlace = placeOf !== null && /^P[0-9]{1,9}$/.test(field)
    return isPlace ? `P${placeOf(Number(field.slice(1)))}` : field
  })
}
