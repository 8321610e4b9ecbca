import { ConfigError } from '../../errors.ts'

/** Attributes of a cookie (RFC 6265bis). */
export interface CookieAttributes {
  /** Default `/`. */
  readonly path?: string
  /** Default: the host that answered only. */
  readonly domain?: string
  /** Default `lax`. */
  readonly sameSite?: 'strict' | 'lax' | 'none'
  /** Default true. Over plain HTTP a browser keeps such a cookie for `localhost` only. */
  readonly secure?: boolean
  /** Default true: scripts of the page don't see it. */
  readonly httpOnly?: boolean
  /** Default false. */
  readonly partitioned?: boolean
}

/** As many cookies of one name are looked at (they can come from several paths and domains). */
const MAX_SAME_NAME = 8
const NAME = /^[!#$%&'*+.^_`|~\w-]{1,128}$/
const ATTRIBUTE = /^[\x20-\x3a\x3c-\x7e]{1,256}$/
const SAME_SITE = { strict: 'Strict', lax: 'Lax', none: 'None' } as const

/** The values of the cookies of that name, in the header's order. */
export function cookieValues(header: string | undefined, name: string): string[] {
  const values: string[] = []
  if (header === undefined || !header.includes(name)) return values
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=')
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue
    if (values.push(pair.slice(equals + 1).trim()) === MAX_SAME_NAME) break
  }
  return values
}

/** Throws ConfigError for a name or attribute that no browser takes. */
export function checkCookie(name: string, attributes: CookieAttributes): void {
  const { path = '/', domain, sameSite = 'lax', secure = true } = attributes
  if (!NAME.test(name)) throw new ConfigError('cookie.name', 'is no name of a cookie')
  if (!path.startsWith('/') || !ATTRIBUTE.test(path)) {
    throw new ConfigError('cookie.path', 'a path starts with / and has no semicolon')
  }
  if (domain !== undefined && !/^[\w.-]{1,253}$/.test(domain)) {
    throw new ConfigError('cookie.domain', 'is no name of a host')
  }
  if (!(sameSite in SAME_SITE)) throw new ConfigError('cookie.sameSite', 'strict, lax or none')
  if (!secure && (sameSite === 'none' || attributes.partitioned === true)) {
    throw new ConfigError('cookie.secure', 'browsers take this cookie only with secure: true')
  }
  const isHost = name.startsWith('__Host-')
  if (isHost && (!secure || path !== '/' || domain !== undefined)) {
    throw new ConfigError('cookie.name', '__Host- needs secure: true, path / and no domain')
  }
  if (name.startsWith('__Secure-') && !secure) {
    throw new ConfigError('cookie.name', '__Secure- needs secure: true')
  }
}

/** A Set-Cookie header's value. `value` must be made of characters that a cookie may have. */
export function setCookie(
  name: string,
  value: string,
  maxAgeMs: number,
  attributes: CookieAttributes,
): string {
  const { path = '/', domain, sameSite = 'lax', secure, httpOnly, partitioned } = attributes
  const parts = [`${name}=${value}`, `Max-Age=${Math.ceil(maxAgeMs / 1000)}`, `Path=${path}`]
  if (domain !== undefined) parts.push(`Domain=${domain}`)
  parts.push(`SameSite=${SAME_SITE[sameSite]}`)
  if (secure !== false) parts.push('Secure')
  if (httpOnly !== false) parts.push('HttpOnly')
  if (partitioned === true) parts.push('Partitioned')
  return parts.join('; ')
}
