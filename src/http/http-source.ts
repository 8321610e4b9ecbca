import type { AdminActions } from '../admin/admin-actions.ts'
import type { AdminSource, ClientRow } from '../admin/admin-source.ts'
import type { AuthRateLimit } from '../auth/auth-rate-limit.ts'
import type { MockVerifiers } from '../auth/mock-verifier.ts'
import type { StoredSecret } from '../auth/stored-secret.ts'
import type { Recorder } from '../history/recorder.ts'
import type { StatementHistory } from '../history/statement-series.ts'
import type { Metric } from '../metrics/metric.ts'

export type HttpRole = 'reader' | 'operator'

/** How a caller's connection looks from here. */
export interface CallerAddress {
  readonly address: string
  readonly isTls: boolean
  /** Common name of the certificate that it has shown and that was verified; null: none. */
  readonly certificateName: string | null
}

/** Who may call. All of it is asked at each request: a reload may have changed it. */
export interface HttpPeople {
  tokens(): readonly { readonly name: string; readonly token: string; readonly role: HttpRole }[]
  /** What an administrator may do; null: it is none. */
  roleOf(user: string): HttpRole | null
  /** Null: it has no password. Rejects with a PgSplitError when nobody can say, or it may not come from there. */
  secretOf(user: string, from: CallerAddress): Promise<StoredSecret | null>
  /** What a certificate's name is worth: with `verify-full` it is a log-in. */
  readonly trustsCertificates: boolean
  readonly rateLimit: AuthRateLimit
  readonly mockVerifiers: MockVerifiers
}

/** Some of the sessions; see `sessions`. */
export interface SessionList {
  readonly total: number
  /** How many keep their server connection, by what keeps it. */
  readonly pinned: Readonly<Record<string, number>>
  readonly rows: readonly ClientRow[]
}

/** What the HTTP door shows and does, and for whom. */
export interface HttpSource {
  readonly admin: AdminSource
  readonly actions: AdminActions
  readonly people: HttpPeople
  metrics(): readonly Metric[]
  /** Why clients should be sent elsewhere, a clause each; empty: it is ready. */
  notReady(): readonly string[]
  /** Whether `/metrics` is for everybody. */
  readonly isMetricsOpen: boolean
  /** An hour of what is plotted. */
  readonly recorder: Recorder
  /** How a statement has run for the last hour; null: there is none with this `id` in SHOW STATEMENTS. */
  statementHistory(cluster: string, id: string): StatementHistory | null
  /** At most `limit` sessions: who waits and who is pinned comes first. */
  sessions(limit: number): SessionList
  /** Something was done for somebody. */
  onAction(action: string, who: string, address: string): void
}
