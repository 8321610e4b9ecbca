/**
 * Failures of this host, which say nothing of the one that was to be reached: its name could not be
 * looked up, no descriptor, port or memory was left, there is no route of that family.
 */
const OWN = new Set([
  'EAI_AGAIN',
  'EAI_FAIL',
  'EAI_MEMORY',
  'EAI_NODATA',
  'EAI_NONAME',
  'EAI_SYSTEM',
  'ENOTFOUND',
  'ENODATA',
  'ESERVFAIL',
  'ELOOKUPLATE',
  'EMFILE',
  'ENFILE',
  'EADDRNOTAVAIL',
  'ENETUNREACH',
  'ENETDOWN',
  'EAFNOSUPPORT',
  'ENOBUFS',
  'ENOMEM',
])

/** Its code if a dial failed on our side only, else null. Of several addresses all must have. */
export function ownFailure(error: unknown): string | null {
  if (error instanceof AggregateError && error.errors.length > 0) {
    const codes = error.errors.map(ownFailure)
    return codes.includes(null) ? null : (codes[0] ?? null)
  }
  if (typeof error !== 'object' || error === null || !('code' in error)) return null
  return typeof error.code === 'string' && OWN.has(error.code) ? error.code : null
}

/** What it means, as a clause for people. */
export function ownFailureText(code: string): string {
  switch (code) {
    case 'EMFILE':
    case 'ENFILE':
      return `no file descriptor is left here (${code})`
    case 'EADDRNOTAVAIL':
      return `no local port is left here (${code})`
    case 'ENETUNREACH':
    case 'ENETDOWN':
    case 'EAFNOSUPPORT':
      return `there is no route from here (${code})`
    case 'ENOBUFS':
    case 'ENOMEM':
      return `no memory is left here (${code})`
    default:
      return `the name could not be looked up here (${code})`
  }
}
