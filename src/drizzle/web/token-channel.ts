import type { WebRequest } from './web-request.ts'

/** The token text that stands for all that was ever committed: its holder reads on the primary. */
export const PRIMARY_ONLY = 'primary'

/** Why a token that came in is not believed. A `forged` one can be of a secret that is gone. */
export type IgnoredReason = 'malformed' | 'forged' | 'expired' | 'foreign'

/** A token that a request brought. `expiresAtMs`: ms since 1970; null = it doesn't say. */
export interface Brought {
  readonly token: string
  readonly expiresAtMs: number | null
}

export interface HeaderChange {
  readonly name: string
  readonly value: string
  /** Beside what the application has put under that name, not in its place. */
  readonly append: boolean
}

/** One way by which tokens go out with a response and come back with the next request. */
export interface TokenChannel {
  /** What came in and is believed; `onIgnored` is told of each that isn't. Never throws. */
  read(request: WebRequest, nowMs: number, onIgnored: (reason: IgnoredReason) => void): Brought[]
  /** `fromPrimary`: its position is one of the primary, or none could be had. */
  write(token: string, fromPrimary: boolean, nowMs: number): HeaderChange
}
