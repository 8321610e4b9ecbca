import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Path of an installed program, looked for in `places` and then on PATH; null if there is none. */
export function findProgram(name: string, places: readonly string[] = []): string | null {
  for (const place of [...places, ...(process.env.PATH ?? '').split(delimiter)]) {
    const path = join(place, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // not there
    }
  }
  return null
}
