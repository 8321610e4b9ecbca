import { type ErrorFacts, PgSplitError, ProtocolError } from '../errors.ts'
import * as messages from '../wire/backend-messages.ts'
import { Cursor } from '../wire/cursor.ts'
import { frontend, txStatus } from '../wire/message-types.ts'
import { planAdminCommand } from './admin-command.ts'
import type { AdminSource } from './admin-source.ts'
import { splitAdminText } from './admin-text.ts'
import { encodeRowDescription } from './encode-result.ts'
import { ExtendedQuery } from './extended-query.ts'
import { type Portal, runPortal } from './portal.ts'

/** Longest body that is looked at; admin commands have a few dozen bytes. */
const maxBodyBytes = 16 * 1024

const statusBytes = { I: txStatus.idle, T: txStatus.block, E: txStatus.failed } as const

/**
 * One client's conversation with the admin database: frames in, bytes out. It owns no socket and
 * does no I/O; memory is bounded by its few statements and portals of at most `maxBodyBytes` each
 * and by the size of the tables shown. It starts behind the login, where the caller has sent
 * ReadyForQuery.
 */
export class AdminSession {
  readonly #source: AdminSource
  readonly #extended: ExtendedQuery
  #status: 'I' | 'T' | 'E' = 'I'
  /** protocol-flow, "Extended Query": after an error, everything up to Sync is skipped. */
  #skipping = false
  #ended = false

  constructor(source: AdminSource) {
    this.#source = source
    this.#extended = new ExtendedQuery(source)
  }

  /** True after Terminate and after a FATAL answer: send what `handle` gave, then close. */
  get ended(): boolean {
    return this.#ended
  }

  /**
   * Takes one frame's type byte and body (behind the length word) and returns the answer, which
   * is empty when there is none yet; null after Terminate. Never throws: errors are answered.
   */
  handle(type: number, body: Buffer): Buffer | null {
    if (type === frontend.terminate) this.#ended = true
    if (this.#ended) return null
    if (this.#skipping && type !== frontend.sync) return Buffer.alloc(0)
    const out: Buffer[] = []
    try {
      if (body.length > maxBodyBytes) {
        throw new PgSplitError({
          sqlstate: '54000',
          message: `admin message has ${body.length} bytes; the most is ${maxBodyBytes}`,
        })
      }
      this.#dispatch(type, new Cursor(body, 0, body.length), out)
    } catch (error) {
      this.#fail(type, error, out)
    }
    return Buffer.concat(out)
  }

  #dispatch(type: number, body: Cursor, out: Buffer[]): void {
    switch (type) {
      case frontend.query:
        this.#query(body, out)
        break
      case frontend.parse:
        this.#extended.parse(body, out)
        break
      case frontend.bind:
        this.#extended.bind(body, out)
        break
      case frontend.describe:
        this.#extended.describe(body, out)
        break
      case frontend.execute: {
        const { portal, maxRows } = this.#extended.execute(body)
        this.#run(portal, maxRows, out)
        break
      }
      case frontend.close:
        this.#extended.close(body, out)
        break
      case frontend.sync:
        this.#skipping = false
        this.#ready(out)
        break
      case frontend.flush:
      // Left over from a COPY that failed: the server ignores them (protocol-flow, "COPY").
      case frontend.copyData:
      case frontend.copyDone:
      case frontend.copyFail:
        break
      case frontend.functionCall:
        throw new PgSplitError({
          sqlstate: '0A000',
          message: 'the admin database has no functions to call',
        })
      default:
        this.#ended = true
        throw new ProtocolError(`invalid frontend message type ${type}`)
    }
  }

  #query(body: Cursor, out: Buffer[]): void {
    const text = body.string()
    body.assertEnd()
    const statements = splitAdminText(text)
    this.#extended.dropUnnamed()
    if (statements.length === 0) out.push(messages.emptyQueryResponse)
    for (const tokens of statements) {
      const statement = planAdminCommand(tokens, this.#source)
      // Rows first: if they cannot be collected, no RowDescription without an end goes out.
      const portal = { statement, formats: [], rows: statement.rows() }
      if (statement.columns !== null) out.push(encodeRowDescription(statement.columns, []))
      this.#run(portal, 0, out)
    }
    this.#ready(out)
  }

  #run(portal: Portal, maxRows: number, out: Buffer[]): void {
    const { statement } = portal
    if (this.#status === 'E' && statement !== null && statement.status !== 'I') {
      throw new PgSplitError({
        sqlstate: '25P02',
        message: 'current transaction is aborted, commands ignored until end of transaction block',
      })
    }
    if (!runPortal(portal, maxRows, out) || statement === null) return
    if (statement.status !== undefined) this.#status = statement.status
    if (statement.tag === 'DISCARD ALL' || statement.tag === 'DEALLOCATE ALL') {
      this.#extended.dropStatements()
    }
  }

  #ready(out: Buffer[]): void {
    if (this.#status !== 'T') this.#extended.dropPortals()
    out.push(messages.readyForQuery(statusBytes[this.#status]))
  }

  #fail(type: number, error: unknown, out: Buffer[]): void {
    out.push(messages.errorResponse(factsOf(error, this.#ended ? 'FATAL' : 'ERROR')))
    if (this.#ended) return
    if (this.#status === 'T') this.#status = 'E'
    // Only the extended protocol's messages start skipping; Query and FunctionCall are complete.
    if (type === frontend.query || type === frontend.functionCall) this.#ready(out)
    else this.#skipping = true
  }
}

/**
 * A malformed body is an ERROR here although it is a ProtocolError: its frame was whole, so the
 * conversation can go on.
 */
function factsOf(error: unknown, severity: 'ERROR' | 'FATAL'): ErrorFacts {
  if (!(error instanceof PgSplitError)) {
    const detail = error instanceof Error ? error.message : 'unknown cause'
    return { sqlstate: 'XX000', message: 'the admin database failed', detail, severity }
  }
  const { sqlstate, message, hint } = error
  return { sqlstate, message, severity, ...(hint === undefined ? {} : { hint }) }
}
