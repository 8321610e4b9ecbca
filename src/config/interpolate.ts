import { readFileSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'
import { ConfigError } from '../errors.ts'

export type Environment = Readonly<Record<string, string | undefined>>

const pattern = /\$\$\{|\$\{file:([^}]+)\}|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{/g

/** No password, token or key is longer, bytes. */
const maxSecretBytes = 64 * 1024

/** Where names of variables and of files lead. */
export interface References {
  readonly env: Environment
  /** Of relative names of files. */
  readonly directory: string
}

/** Deeper than any real configuration; bounds the recursion. */
const maxDepth = 32

/**
 * Replaces `${NAME}`, `${NAME:-default}` and `${file:NAME}` (its text, without the end of its last
 * line) in every string value, and leaves out keys whose value is null (an empty YAML section means
 * "the defaults"). `$${` stands for a plain `${`. Throws ConfigError with the path when a variable
 * without default is missing or empty, or a file can't be read.
 */
export function interpolate(value: unknown, references: References, path = '', depth = 0): unknown {
  if (depth > maxDepth) throw new ConfigError(path, 'nested too deeply')
  if (typeof value === 'string') return interpolateText(value, references, path)
  if (Array.isArray(value)) {
    return value.map((item, index) => interpolate(item, references, `${path}[${index}]`, depth + 1))
  }
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
    .filter(([, item]) => item !== null && item !== undefined)
    .map(([key, item]) => {
      return [key, interpolate(item, references, path === '' ? key : `${path}.${key}`, depth + 1)]
    })
  return Object.fromEntries(entries)
}

function interpolateText(text: string, references: References, path: string): string {
  const credentials = credentialsOf(text)
  return text.replace(
    pattern,
    (
      found,
      file: string | undefined,
      name: string | undefined,
      fallback: string | undefined,
      offset: number,
    ) => {
      // A password from elsewhere is meant literally, whatever letters it has.
      const given = (value: string) => (offset < credentials ? encodeURIComponent(value) : value)
      if (found === '$${') return '${'
      if (file !== undefined) return given(readSecret(file, references, path))
      if (name === undefined) {
        throw new ConfigError(
          path,
          `"\${" without a variable name; write \${NAME}, \${NAME:-default} or \${file:/path/of/a/secret}, and $\${ for a plain \${`,
        )
      }
      const value = references.env[name] || fallback
      if (value === undefined) {
        throw new ConfigError(
          path,
          `the environment variable ${name} is not set or empty; set it or write \${${name}:-default}`,
        )
      }
      return given(value)
    },
  )
}

/** Orchestrators put secrets into files; editors end the last line. */
function readSecret(name: string, { directory }: References, path: string): string {
  const file = isAbsolute(name) ? name : resolve(directory, name)
  let text: string
  try {
    text = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    throw new ConfigError(path, `cannot read ${file} (${code}); it was to hold the value`, error)
  }
  if (text === '') throw new ConfigError(path, `${file} is empty; it was to hold the value`)
  if (text.length <= maxSecretBytes) return text
  throw new ConfigError(path, `${file} is larger than 64 kB; is it a secret?`)
}

/** Where the `user:password@` part of a connection URL ends; 0 when there is none. */
function credentialsOf(text: string): number {
  if (!/^postgres(?:ql)?:\/\//.test(text)) return 0
  // A default such as ${X:-a/b@c} must not be taken for the end of the authority.
  const masked = text.replace(pattern, (found) => '_'.repeat(found.length))
  const authority = /^[a-z]+:\/\/[^/?#]*/.exec(masked)?.[0] ?? ''
  return authority.lastIndexOf('@') + 1
}
