import { suggest } from './config/suggest.ts'
import { ConfigError } from './errors.ts'

/** The names of all options of a type; the compiler sees that none is missing. */
export type OptionNames<Options> = Readonly<Record<KeysOf<Options>, true>>

/** Of a union, the names of all its members. */
type KeysOf<Options> = Options extends unknown ? keyof Options & string : never

/**
 * Throws ConfigError for the first option that has none of these names, with the one that was most
 * likely meant. `path` is that of the options themselves, '' for a function's argument.
 */
export function assertKnown<Options>(
  options: object | null | undefined,
  names: OptionNames<Options>,
  path = '',
): void {
  const known = Object.keys(names)
  for (const name of Object.keys(options ?? {})) {
    if (known.includes(name)) continue
    const nearest = suggest(name, known)
    const way =
      nearest === undefined ? `known here: ${known.join(', ')}` : `did you mean ${nearest}?`
    const where = [path, name.slice(0, 64)].filter(Boolean).join('.')
    throw new ConfigError(where.replace(/\p{Cc}/gu, '?'), `unknown option; ${way}`)
  }
}
