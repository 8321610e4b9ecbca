import type { Logger } from '../log.ts'

/** What one line says of a log-in that came to nothing. */
export interface FailedLogin {
  readonly user: string | null
  readonly database?: string
  readonly address?: string
  /** SQLSTATE, or `internal`. */
  readonly reason: string
}

interface Recent {
  count: number
  last: FailedLogin
  message: string
}

/** Between two lines of one event, ms. */
const intervalMs = 1000

/**
 * Log lines of log-ins that came to nothing, of which anybody can make as many as he likes: the
 * first one at once, then one line a second, of the last one, with how many it stands for.
 */
export class LoginLog {
  readonly #logger: Logger
  /** By event, for a second behind its last line; `count`: since that line. */
  readonly #recent = new Map<string, Recent>()
  /** By SQLSTATE (or `internal`): how many there were since the start. */
  readonly failures = new Map<string, number>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  note(event: 'login_refused' | 'login_failed', last: FailedLogin, message: string): void {
    this.failures.set(last.reason, (this.failures.get(last.reason) ?? 0) + 1)
    const recent = this.#recent.get(event)
    if (recent === undefined) {
      this.#say(event, { count: 1, last, message })
      return
    }
    recent.count++
    recent.last = last
    recent.message = message
  }

  #say(event: string, { count, last, message }: Recent): void {
    this.#logger.warn({ event, ...last, count }, message)
    const next: Recent = { count: 0, last, message }
    this.#recent.set(event, next)
    const timer = setTimeout(() => {
      this.#recent.delete(event)
      if (next.count > 0) this.#say(event, next)
    }, intervalMs)
    timer.unref()
  }
}
