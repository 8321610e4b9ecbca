import { ConfigError } from '../errors.ts'
import type { HttpConfig } from './config.ts'
import { resolveClientTls } from './resolve-tls.ts'
import type { HttpInput } from './schema-http.ts'

/** Shorter ones could be found by trying. */
const minTokenLength = 16

/** The HTTP door's options with file names made absolute and tried. Throws ConfigError. */
export function resolveHttp(input: HttpInput, directory: string): HttpConfig {
  const names = new Set<string>()
  for (const [index, { name, token }] of input.tokens.entries()) {
    const path = `http.tokens[${index}]`
    if (names.has(name)) throw new ConfigError(`${path}.name`, `"${name}" is there already`)
    names.add(name)
    const text = token.reveal()
    if (text.length < minTokenLength) {
      throw new ConfigError(
        `${path}.token`,
        `is too short; give ${minTokenLength} characters or more`,
      )
    }
    // RFC 6750, section 2.1: no other could stand in the header.
    if (!/^[A-Za-z0-9._~+/-]+=*$/.test(text)) {
      throw new ConfigError(`${path}.token`, 'may have letters, digits and - . _ ~ + / only')
    }
  }
  const { listen, metrics, tokens, maxConnections } = input
  const tls = resolveClientTls(input.tls, directory, 'http.tls', 'require')
  return { listen, metrics, tokens, maxConnections, tls }
}
