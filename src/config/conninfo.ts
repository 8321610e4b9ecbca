import { NodeUrlError } from './node-url-error.ts'

/**
 * Parses `key=value` pairs as libpq's `conninfo_parse` does: blanks around `=` are allowed, values
 * with blanks stand in single quotes, a backslash takes the next letter literally.
 */
export function parseConninfo(text: string): Map<string, string> {
  const given = new Map<string, string>()
  const pair =
    /\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'(?!\S)|((?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)?(?!\S))/sy
  let end = 0
  while (/\S/.test(text.slice(end))) {
    pair.lastIndex = end
    const match = pair.exec(text)
    if (match === null) {
      throw new NodeUrlError(
        'is neither a URL (postgres://user@host:5432/postgres) nor key=value pairs (host=… user=…)',
      )
    }
    end = pair.lastIndex
    given.set((match[1] ?? '').toLowerCase(), (match[2] ?? match[3] ?? '').replace(/\\(.)/gs, '$1'))
  }
  return given
}
