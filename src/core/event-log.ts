/** Where lifecycle events go: pgsplit's log, or the application's own `onEvent`. */
export interface EventLog {
  /** `facts` has `event`, `reason` and ids such as `node`; no statements, no secrets. */
  info(facts: EventFacts, text: string): void
  warn(facts: EventFacts, text: string): void
}

interface EventFacts {
  readonly event: string
  readonly [name: string]: unknown
}
