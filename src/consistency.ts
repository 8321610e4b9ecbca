/** What reads promise, weakest last but for `primary`, which promises all and splits nothing. */
export const consistencyLevels = [
  'strict',
  'shared',
  'session',
  'bounded',
  'eventual',
  'primary',
] as const

/**
 * What a read sees at least:
 * - `strict`: every commit that was acknowledged to anybody, here or elsewhere, before it came in;
 * - `shared`: those of all sessions of its user and database at this instance;
 * - `session`: those of its own session; it never reads backwards;
 * - `bounded`: what was there `maxLag` ago;
 * - `eventual`: what the replica had when it was last probed to be within `maxLag`;
 * - `primary`: all, as nothing runs on replicas.
 */
export type Consistency = (typeof consistencyLevels)[number]

/** Does a session at this level see at least what it wrote and saw before? */
export function isCausal(level: Consistency): boolean {
  return level === 'strict' || level === 'shared' || level === 'session'
}

/** Does a read at this level see what other sessions have written, too? */
export function seesOthers(level: Consistency): boolean {
  return level === 'strict' || level === 'shared'
}

/** The level of this name, whatever its case; null = there is none. */
export function parseConsistency(text: string): Consistency | null {
  const word = text.toLowerCase()
  return consistencyLevels.find((level) => level === word) ?? null
}

/** Where a transaction begins that says neither READ ONLY nor READ WRITE. */
export const transactionStarts = ['primary', 'optimistic'] as const

/**
 * - `primary`: it runs on the primary;
 * - `optimistic`: on a replica, if it is READ COMMITTED and begins with a read, up to its first statement
 *   that is not; then it goes on at the primary.
 */
export type TransactionStart = (typeof transactionStarts)[number]

/** What the reads of an optimistic transaction promise. */
export const transactionReads = ['strict', 'session'] as const satisfies readonly Consistency[]
export type TransactionReads = (typeof transactionReads)[number]

/** How many replicas are to show a commit, as a word: `all` (Infinity), `off` (0), or a number. */
export function commitVisibleWord(replicas: number): string {
  if (replicas === 0) return 'off'
  return replicas === Number.POSITIVE_INFINITY ? 'all' : String(replicas)
}

/** The other way round; null = it is none of these. */
export function parseCommitVisible(text: string): number | null {
  const word = text.toLowerCase()
  if (word === 'off') return 0
  if (word === 'all') return Number.POSITIVE_INFINITY
  return /^\d{1,2}$/.test(word) ? Number(word) : null
}
