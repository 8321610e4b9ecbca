import type { z } from 'zod'
import { ConfigError } from '../errors.ts'
import { suggest } from './suggest.ts'

type Path = readonly PropertyKey[]
type Issue = z.core.$ZodIssue

/** `['clusters', 'main', 'replicas', 1]` as `clusters.main.replicas[1]`. */
function formatPath(path: Path): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part).slice(0, 64)}`))
    .join('')
    .replace(/^\./, '')
    .replace(/\p{Cc}/gu, '?')
}

/**
 * The first mistake as a ConfigError of one line: a misspelt name before anything that follows
 * from it, such as the "missing" of the option that was meant.
 */
export function configErrorOf(issues: readonly Issue[], schema: object): ConfigError {
  const flat = issues.flatMap((issue) => flatten(issue, []))
  const first = flat.find((issue) => issue.code === 'unrecognized_keys') ?? flat[0]
  if (first === undefined) return new ConfigError('', 'invalid configuration')
  if (first.code === 'unrecognized_keys') {
    const key = first.keys[0] ?? ''
    const known = optionsAt(schema, first.path)
    const nearest = suggest(key, known)
    const way =
      nearest === undefined ? `known here: ${known.join(', ')}` : `did you mean ${nearest}?`
    return new ConfigError(formatPath([...first.path, key]), `unknown option; ${way}`)
  }
  if (first.code === 'invalid_key') {
    const way = 'letters, digits, "_" and "-", starting with a letter, 63 at most'
    return new ConfigError(formatPath(first.path), `not a name; use ${way}`)
  }
  return new ConfigError(formatPath(first.path), first.message)
}

/** Of a union, the branch that got further than "this is of another type". */
function flatten(issue: Issue, prefix: Path): Issue[] {
  const here = { ...issue, path: [...prefix, ...issue.path] }
  if (issue.code !== 'invalid_union') return [here]
  const deeper =
    issue.errors.find((branch) => branch.some(({ path }) => path.length > 0)) ??
    issue.errors.find((branch) => branch.every(({ code }) => code !== 'invalid_type'))
  return deeper === undefined ? [here] : deeper.flatMap((inner) => flatten(inner, here.path))
}

/** The options that the JSON Schema knows at a path. */
function optionsAt(schema: object, path: Path): string[] {
  let places: object[] = [schema]
  for (const part of path) {
    places = places.flatMap(branches).flatMap((place) => {
      const { properties = {}, additionalProperties, items } = place as JsonSchemaPart
      const found =
        typeof part === 'number' ? items : (properties[String(part)] ?? additionalProperties)
      return typeof found === 'object' ? [found] : []
    })
  }
  return places
    .flatMap(branches)
    .flatMap((place) => Object.keys((place as JsonSchemaPart).properties ?? {}))
}

interface JsonSchemaPart {
  readonly properties?: Readonly<Record<string, object>>
  readonly additionalProperties?: object | boolean
  readonly items?: object
  readonly anyOf?: readonly object[]
}

function branches(place: object): readonly object[] {
  return (place as JsonSchemaPart).anyOf ?? [place]
}
