import { ConfigError } from '../errors.ts'

export type Environment = Readonly<Record<string, string | undefined>>

const pattern = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{/g

/** Deeper than any real configuration; bounds the recursion. */
const maxDepth = 32

/**
 * Replaces `${NAME}` and `${NAME:-default}` in every string value, and leaves out keys whose value
 * is null (an empty YAML section means "the defaults"). `$${` stands for a plain `${`.
 * Throws ConfigError with the path when a variable without default is missing or empty.
 */
export function interpolate(value: unknown, env: Environment, path = '', depth = 0): unknown {
  if (depth > maxDepth) throw new ConfigError(path, 'nested too deeply')
  if (typeof value === 'string') return interpolateText(value, env, path)
  if (Array.isArray(value)) {
    return value.map((item, index) => interpolate(item, env, `${path}[${index}]`, depth + 1))
  }
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
    .filter(([, item]) => item !== null && item !== undefined)
    .map(([key, item]) => {
      return [key, interpolate(item, env, path === '' ? key : `${path}.${key}`, depth + 1)]
    })
  return Object.fromEntries(entries)
}

function interpolateText(text: string, env: Environment, path: string): string {
  const credentials = credentialsOf(text)
  return text.replace(
    pattern,
    (found, name: string | undefined, fallback: string | undefined, offset: number) => {
      if (found === '$${') return '${'
      if (name === undefined) {
        throw new ConfigError(
          path,
          `"\${" without a variable name; write \${NAME} or \${NAME:-default}, and $\${ for a plain \${`,
        )
      }
      const given = env[name]
      const value = given === undefined || given === '' ? fallback : given
      if (value === undefined) {
        throw new ConfigError(
          path,
          `the environment variable ${name} is not set or empty; set it or write \${${name}:-default}`,
        )
      }
      // A password from the environment is meant literally, whatever letters it has.
      return offset < credentials ? encodeURIComponent(value) : value
    },
  )
}

/** Where the `user:password@` part of a connection URL ends; 0 when there is none. */
function credentialsOf(text: string): number {
  if (!/^postgres(?:ql)?:\/\//.test(text)) return 0
  // A default such as ${X:-a/b@c} must not be taken for the end of the authority.
  const masked = text.replace(pattern, (found) => '_'.repeat(found.length))
  const authority = /^[a-z]+:\/\/[^/?#]*/.exec(masked)?.[0] ?? ''
  return authority.lastIndexOf('@') + 1
}
