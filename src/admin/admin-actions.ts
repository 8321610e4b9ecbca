/**
 * What an administrator may do, beside looking. Names are as the client wrote them; whoever
 * implements this finds what they mean. Errors are PgSplitErrors for the client.
 */
export interface AdminActions {
  /**
   * Holds back what would begin, in one cluster or (null) in all, and resolves when nothing runs any
   * more. When that takes too long, or `signal` aborts, the pause is taken back and it rejects.
   */
  pause(cluster: string | null, signal: AbortSignal): Promise<void>
  resume(cluster: string | null): void
  drain(node: string): void
  undrain(node: string): void
  /** @param duration `30s`, `5m` …; null = until UNBAN */
  ban(node: string, duration: string | null): void
  unban(node: string): void
  /** Reads the configuration again. Resolves with what the client should know, a line each. */
  reload(): Promise<readonly string[]>
  /** Returns at once; the answer goes out before anything stops. */
  shutdown(mode: 'wait' | 'now'): void
  /** @param client its number in SHOW CLIENTS */
  kill(client: number): void
}
