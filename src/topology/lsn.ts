/**
 * Positions in the write-ahead log. PostgreSQL prints the 64-bit position as two hexadecimal
 * words with a slash (documentation, "pg_lsn Type"): `16/B374D848`.
 */
export type Lsn = bigint

const FORM = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/

/** `null` for anything that PostgreSQL would not take as a pg_lsn. */
export function parseLsn(text: string): Lsn | null {
  const match = FORM.exec(text)
  const high = match?.[1]
  const low = match?.[2]
  if (high === undefined || low === undefined) return null
  return (BigInt(Number.parseInt(high, 16)) << 32n) | BigInt(Number.parseInt(low, 16))
}

/** As PostgreSQL prints it: upper case, without leading zeros. */
export function formatLsn(lsn: Lsn): string {
  const high = (lsn >> 32n) & 0xffffffffn
  const low = lsn & 0xffffffffn
  return `${high.toString(16).toUpperCase()}/${low.toString(16).toUpperCase()}`
}

/** Order of two positions of one timeline. */
export function compareLsn(a: Lsn, b: Lsn): -1 | 0 | 1 {
  if (a < b) return -1
  return a > b ? 1 : 0
}

/** Bytes from `behind` to `ahead`, 0 when `behind` is not behind; capped at 2^53 − 1. */
export function lsnGapBytes(ahead: Lsn, behind: Lsn): number {
  if (ahead <= behind) return 0
  const gap = ahead - behind
  return gap > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(gap)
}
