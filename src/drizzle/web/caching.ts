/** The headers of a response that tell caches what to do. */
export type ResponseHeader = (name: string) => string | undefined

/**
 * Whether caches between server and browser may give this response to other users. A token in it
 * would then replace theirs, which may be newer.
 */
export function isForEverybody(method: string, header: ResponseHeader): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  const directives = directivesOf(header('cache-control'))
  if (directives.has('private') || directives.has('no-store')) return false
  return (
    ['public', 's-maxage', 'immutable'].some((name) => directives.has(name)) ||
    header('cdn-cache-control') !== undefined ||
    header('surrogate-control') !== undefined
  )
}

/**
 * Cache-Control of a response with a token: a shared cache may store a response with Set-Cookie if
 * nothing forbids it (RFC 9111, 7.3). null = nothing to change.
 */
export function cacheControlWithToken(method: string, header: ResponseHeader): string | null {
  if (method !== 'GET' && method !== 'HEAD') return null
  const given = header('cache-control')
  const directives = directivesOf(given)
  if (directives.has('private') || directives.has('no-store')) return null
  return given === undefined || given.trim() === '' ? 'private' : `${given}, private`
}

/** Names of the directives; one that is limited to fields (`private="x"`) does not count. */
function directivesOf(cacheControl: string | undefined): Set<string> {
  const names = (cacheControl ?? '').replace(/"[^"]*"/g, '"').split(',')
  return new Set(
    names
      .flatMap((text) => /^\s*([a-z-]+)\s*(?:=[^"]*)?$/i.exec(text)?.[1] ?? [])
      .map((name) => name.toLowerCase()),
  )
}
