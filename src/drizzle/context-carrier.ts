/** Carries what a client has written and seen from one request to its next. */
export interface ContextCarrier {
  /**
   * Runs `fn` in a context of its own: what is read in it sees at least what `token` stands for and
   * what was written in it. `token: 'primary'`: its reads go to the primary. `affinity`: the text by
   * which the balancer `ip-hash` chooses. Throws PgSplitError 22023, before `fn` is called, for a
   * token that is malformed or of another cluster. With `isForeignIgnored` one that turns out to be
   * of another cluster later, when this one is known, says nothing; else what runs then rejects.
   */
  run<T>(fn: () => T, options?: CarrierOptions): T
  /**
   * The token of the current context; '' while it has seen nothing. Waits for a position. Rejects
   * with 57P03 when none can be had.
   */
  causalToken(): Promise<string>
  /** The same at once. null: a position is still being asked for, which this begins. */
  causalTokenNow(): string | null
  /** Whether anything of the current context ran on the primary; undefined = that is not known. */
  hasUsedPrimary(): boolean | undefined
}

export interface CarrierOptions {
  readonly token?: string
  readonly affinity?: string
  readonly isForeignIgnored?: boolean
}
