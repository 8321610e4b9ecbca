/** A failure to start or steer the servers of a test: cause, fact and way out in one line. */
export class TestingError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'TestingError'
  }
}

/** The text of anything that was thrown, also by another realm (Jest has one for every file). */
export function reasonOf(thrown: unknown): string {
  const message = (thrown as { message?: unknown } | null)?.message
  return typeof message === 'string' && message !== '' ? message : String(thrown)
}
