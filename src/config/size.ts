/** PostgreSQL's units: kB is 1024 bytes (documentation, "Parameter Names and Values"). */
const unitsBytes: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1024,
  mb: 1024 ** 2,
  gb: 1024 ** 3,
}

/**
 * Parses `'64kB'`, `'16MB'`, `'1GB'` (powers of 1024, letter case doesn't matter) or a bare number
 * of bytes. Gives whole bytes, or undefined for anything else.
 */
export function parseSize(value: string | number): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]*)$/i.exec(String(value).trim())
  const unit = match?.[2] === '' ? 1 : unitsBytes[match?.[2]?.toLowerCase() ?? '']
  if (match === null || unit === undefined) return undefined
  const bytes = Number(match[1]) * unit
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** The shortest spelling that `parseSize` reads back to the same number: 65536 is `64kB`. */
export function formatSize(bytes: number): string {
  for (const unit of ['GB', 'MB', 'kB']) {
    const size = unitsBytes[unit.toLowerCase()] ?? 1
    if (bytes !== 0 && bytes % size === 0) return `${bytes / size}${unit}`
  }
  return `${bytes}B`
}
