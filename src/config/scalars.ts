/**
 * The kinds of option values. Each accepts what YAML, a flag or an interpolated environment
 * variable may give (a number may come as text) and says in its error what it wants.
 */
import * as z from 'zod'
import { maxDurationMs, parseDuration } from '../duration.ts'
import { parseListenAddress } from './listen-address.ts'
import { Secret } from './secret.ts'
import { parseSize } from './size.ts'

/**
 * What the documentation says of one option. `limit` is what happens when its limit is reached.
 * The JSON Schema and the reference table in docs/ are made of it.
 */
export interface OptionDoc {
  readonly description: string
  readonly unit?: string
  readonly limit?: string
  /** Shown instead of a default value, where the default depends on something else. */
  readonly otherwise?: string
}

type Bounds = { readonly min?: number; readonly max?: number }

function meta(doc: OptionDoc, unit?: string): Record<string, unknown> {
  const shown = doc.unit ?? unit
  return {
    description: doc.description,
    ...(shown === undefined ? {} : { 'x-unit': shown }),
    ...(doc.limit === undefined ? {} : { 'x-limit': doc.limit }),
    ...(doc.otherwise === undefined ? {} : { 'x-default': doc.otherwise }),
  }
}

/** A value as it may be shown in an error: short, on one line, and nothing like a credential. */
export function show(value: unknown): string {
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'a list' : 'a section'
  const text = JSON.stringify(value) ?? String(value)
  if (/:\/\/|password|SCRAM-SHA/i.test(text)) return 'a connection string or credential'
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

type Expectation = { readonly error: (issue: { readonly input?: unknown }) => string }

/** The one wording of a wrong type; for secrets the value is not shown. */
export function expected(what: string, isSecret = false): Expectation {
  return {
    error: ({ input }) => {
      if (input === undefined) return `is missing; expected ${what}`
      return isSecret ? `expected ${what}` : `expected ${what}, got ${show(input)}`
    },
  }
}

function parsed<T>(what: string, parse: (value: string | number) => T | undefined) {
  const wanted = expected(what)
  return z.union([z.string(), z.number()], wanted).transform((value, context): T => {
    const result = parse(value)
    if (result !== undefined) return result
    context.issues.push({ code: 'custom', message: wanted.error({ input: value }), input: value })
    return z.NEVER
  })
}

const within = (value: number | undefined, { min = 0, max = Number.MAX_SAFE_INTEGER }: Bounds) =>
  value !== undefined && value >= min && value <= max ? value : undefined

/** Milliseconds from `'10s'`, `'500ms'`, `'1m'` or a number of milliseconds. */
export function duration(doc: OptionDoc, bounds: Bounds = {}) {
  const least = bounds.min === undefined ? '' : `, at least ${bounds.min} ms`
  return parsed(`a duration such as 500ms, 10s or 1m${least}`, (value) =>
    within(parseDuration(value), { max: maxDurationMs, ...bounds }),
  ).meta(meta(doc, 'duration'))
}

/** Bytes from `'64kB'`, `'16MB'` or a number of bytes. */
export function size(doc: OptionDoc, bounds: Bounds = {}) {
  const { min, max } = bounds
  const range = min === undefined ? '' : ` from ${min} to ${max ?? Number.MAX_SAFE_INTEGER} bytes`
  return parsed(`a size such as 64kB or 16MB${range}`, (value) =>
    within(parseSize(value), bounds),
  ).meta(meta(doc, 'size'))
}

/** A whole number. */
export function integer(doc: OptionDoc, bounds: Required<Bounds>) {
  return parsed(`a whole number from ${bounds.min} to ${bounds.max}`, (value) => {
    const number = /^-?\d{1,15}$/.test(String(value).trim()) ? Number(value) : undefined
    return within(number, bounds)
  }).meta(meta(doc))
}

/** `host:port`, `[::1]:port` or a port, or a list of them; it comes out as a list. */
export function listenAddresses(doc: OptionDoc) {
  const address = parsed('host:port, for example 127.0.0.1:6432 or [::1]:6432', parseListenAddress)
  return z
    .union([address, z.array(address).min(1)], expected('host:port or a list of them'))
    .transform((value) => (Array.isArray(value) ? value : [value]))
    .meta(meta(doc))
}

/** true or false. */
export function flag(doc: OptionDoc) {
  const wanted = expected('true or false')
  return z
    .union([z.boolean(wanted), z.enum(['true', 'false'], wanted)], wanted)
    .transform((value) => value === true || value === 'true')
    .meta(meta(doc))
}

/** One of some words. */
export function choice<const W extends readonly [string, ...string[]]>(words: W, doc: OptionDoc) {
  return z.enum(words, expected(`one of ${words.join(', ')}`)).meta(meta(doc))
}

/** Text that is not empty, for example a file name. */
export function text(what: string, doc: OptionDoc) {
  const wanted = expected(what)
  return z.string(wanted).min(1, wanted).meta(meta(doc))
}

/** A name of PostgreSQL: 1 to 63 bytes (documentation, "Identifiers": NAMEDATALEN - 1). */
export function name(what: string, doc: OptionDoc) {
  const wanted = expected(`${what} of 1 to 63 bytes`)
  const fits = (value: string): boolean => Buffer.byteLength(value) <= 63 && !value.includes('\0')
  return z.string(wanted).min(1, wanted).refine(fits, wanted).meta(meta(doc))
}

/** Text that nothing may repeat; it comes out as a Secret. */
export function secretText(what: string, doc: OptionDoc) {
  const wanted = expected(what, true)
  return z
    .string(wanted)
    .min(1, wanted)
    .transform((value) => new Secret(value))
    .meta(meta(doc))
}

/** A section: options under a heading. An absent section is a section of defaults. */
export function section<S extends z.ZodRawShape>(shape: S, description: string) {
  return z.strictObject(shape, expected('a section of options')).meta({ description })
}
