/**
 * The few error classes of pgsplit. Wording: cause, fact, way out. Every error that can reach a
 * client carries a SQLSTATE (PostgreSQL documentation, appendix A).
 */

/** What an ErrorResponse of ours says. `sqlstate` is five characters. */
export interface ErrorFacts {
  readonly sqlstate: string
  readonly message: string
  readonly detail?: string
  readonly hint?: string
  /** FATAL closes the client's connection, ERROR ends the request only. */
  readonly severity?: 'ERROR' | 'FATAL'
}

/** An error that is answered to a client as an ErrorResponse. */
export class PgSplitError extends Error {
  readonly sqlstate: string
  readonly detail: string | undefined
  readonly hint: string | undefined
  readonly severity: 'ERROR' | 'FATAL'

  constructor(facts: ErrorFacts, cause?: unknown) {
    super(facts.message, cause === undefined ? undefined : { cause })
    this.name = 'PgSplitError'
    this.sqlstate = facts.sqlstate
    this.detail = facts.detail
    this.hint = facts.hint
    this.severity = facts.severity ?? 'ERROR'
  }

  /** What goes into the ErrorResponse, with another severity if one is given. */
  facts(severity: 'ERROR' | 'FATAL' = this.severity): ErrorFacts {
    return {
      sqlstate: this.sqlstate,
      message: this.message,
      severity,
      ...(this.detail === undefined ? {} : { detail: this.detail }),
      ...(this.hint === undefined ? {} : { hint: this.hint }),
    }
  }
}

/** Bytes that are not the PostgreSQL protocol: SQLSTATE 08P01, always fatal for the connection. */
export class ProtocolError extends PgSplitError {
  constructor(message: string, hint?: string) {
    super({
      sqlstate: '08P01',
      message,
      severity: 'FATAL',
      ...(hint === undefined ? {} : { hint }),
    })
    this.name = 'ProtocolError'
  }
}

/** A mistake in the configuration; `path` is like `clusters.main.replicas[1].port`. */
export class ConfigError extends Error {
  readonly path: string

  constructor(path: string, message: string, cause?: unknown) {
    super(
      path === '' ? message : `${path}: ${message}`,
      cause === undefined ? undefined : { cause },
    )
    this.name = 'ConfigError'
    this.path = path
  }
}
