import { jointToken, type TokenText } from '../../routing/watermark.ts'
import { compareLsn } from '../../topology/lsn.ts'

/** One connection to the proxy, which is a session there and has a watermark of its own. */
export class Line<Connection> {
  readonly connection: Connection
  /** Statements that have ended on it. */
  uses = 0
  /** Its watermark, as it was when so many statements had ended. */
  captured: { readonly token: TokenText | null; readonly uses: number } = { token: null, uses: 0 }
  /** What it was told to wait for. */
  told: TokenText | null = null
  /** Its watermark is being asked for. Never rejects. */
  capture: Promise<void> | null = null
  /** Somebody waits for it to be free. */
  onFree: (() => void) | null = null
  isInTransaction = false

  constructor(connection: Connection) {
    this.connection = connection
  }
}

/** A token that promises what both do. */
export function joinedTokens(a: TokenText | null, b: TokenText | null): TokenText | null {
  if (a === null || b === null) return a ?? b
  return { ...jointToken(a, b), systemIdentifier: a.systemIdentifier ?? b.systemIdentifier }
}

/** Whoever waits for `told` waits for `token`. */
export function covers(told: TokenText | null, token: TokenText): boolean {
  return told !== null && told.timeline === token.timeline && compareLsn(told.lsn, token.lsn) >= 0
}
