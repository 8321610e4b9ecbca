import { type ErrorFacts, PgSplitError, ProtocolError } from '../errors.ts'
import * as messages from '../wire/backend-messages.ts'
import { Cursor } from '../wire/cursor.ts'
import { frontend, txStatus } from '../wire/message-types.ts'
import type { AdminActions } from './admin-actions.ts'
import { planAdminCommand } from './admin-command.ts'
import type { AdminSource } from './admin-source.ts'
import { splitAdminText } from './admin-text.ts'
import { encodeRowDescription } from './encode-result.ts'
import { ExtendedQuery } from './extended-query.ts'
import { type Portal, runPortal } from './portal.ts'

/** Longest body that is looked at; admin commands have a few dozen bytes. */
const maxBodyBytes = 16 * 1024

const statusBytes = { I: txStatus.idle, T: txStatus.block, E: txStatus.failed } as const

/** Gives what has to be waited for; goes on with the notices for the client. */
type Steps = Generator<Promise<readonly string[]>, void, readonly string[]>

/**
 * One client's conversation with the admin database: frames in, bytes out. It owns no socket and
 * does no I/O; memory is bounded by its few statements and portals of at most `maxBodyBytes` each
 * and by the size of the tables shown. It starts behind the login, where the caller has sent
 * ReadyForQuery.
 */
export class AdminSession {
  readonly #source: AdminSource
  readonly #actions: AdminActions | null
  readonly #extended: ExtendedQuery
  #abort: AbortController | null = null
  #status: 'I' | 'T' | 'E' = 'I'
  /** protocol-flow, "Extended Query": after an error, everything up to Sync is skipped. */
  #skipping = false
  #ended = false

  /** @param actions null: it may only look */
  constructor(source: AdminSource, actions: AdminActions | null = null) {
    this.#source = source
    this.#actions = actions
    this.#extended = new ExtendedQuery(source, actions)
  }

  /** True after Terminate and after a FATAL answer: send what `handle` gave, then close. */
  get ended(): boolean {
    return this.#ended
  }

  /** The client gives up what it waits for, with CancelRequest or by leaving. */
  cancel(): void {
    this.#abort?.abort()
  }

  /**
   * Takes one frame's type byte and body (behind the length word) and returns the answer, which
   * is empty when there is none yet; null after Terminate. A promise when a command takes its time:
   * the next frame may come only when it has resolved. Never throws or rejects: errors are answered.
   */
  handle(type: number, body: Buffer): Buffer | null | Promise<Buffer> {
    if (type === frontend.terminate) this.#ended = true
    if (this.#ended) return null
    if (this.#skipping && type !== frontend.sync) return Buffer.alloc(0)
    const out: Buffer[] = []
    const steps = this.#steps(type, body, out)
    return this.#advance(type, out, steps, () => steps.next([]))
  }

  /** Goes on to the next thing to be waited for. */
  #advance(
    type: number,
    out: Buffer[],
    steps: Steps,
    resume: () => IteratorResult<Promise<readonly string[]>, void>,
  ): Buffer | Promise<Buffer> {
    try {
      const step = resume()
      if (step.done !== true) {
        return step.value.then(
          (notices) => this.#advance(type, out, steps, () => steps.next(notices)),
          (error: unknown) => this.#advance(type, out, steps, () => steps.throw(error)),
        )
      }
    } catch (error) {
      this.#fail(type, error, out)
    }
    return Buffer.concat(out)
  }

  *#steps(type: number, body: Buffer, out: Buffer[]): Steps {
    if (body.length > maxBodyBytes) {
      throw new PgSplitError({
        sqlstate: '54000',
        message: `admin message has ${body.length} bytes; the most is ${maxBodyBytes}`,
      })
    }
    yield* this.#dispatch(type, new Cursor(body, 0, body.length), out)
  }

  *#dispatch(type: number, body: Cursor, out: Buffer[]): Steps {
    switch (type) {
      case frontend.query:
        yield* this.#query(body, out)
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
        yield* this.#run(portal, maxRows, out)
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

  *#query(body: Cursor, out: Buffer[]): Steps {
    const text = body.string()
    body.assertEnd()
    const statements = splitAdminText(text)
    this.#extended.dropUnnamed()
    if (statements.length === 0) out.push(messages.emptyQueryResponse)
    for (const tokens of statements) {
      const statement = planAdminCommand(tokens, this.#source, this.#actions)
      // Rows first: if they cannot be collected, no RowDescription without an end goes out.
      const portal = { statement, formats: [], rows: statement.rows() }
      if (statement.columns !== null) out.push(encodeRowDescription(statement.columns, []))
      yield* this.#run(portal, 0, out)
    }
    this.#ready(out)
  }

  *#run(portal: Portal, maxRows: number, out: Buffer[]): Steps {
    const { statement } = portal
    if (this.#status === 'E' && statement !== null && statement.status !== 'I') {
      throw new PgSplitError({
        sqlstate: '25P02',
        message: 'current transaction is aborted, commands ignored until end of transaction block',
      })
    }
    if (statement?.act !== undefined && !portal.isDone) {
      portal.isDone = true
      this.#abort = new AbortController()
      for (const line of yield statement.act(this.#abort.signal)) {
        out.push(messages.noticeResponse('NOTICE', { sqlstate: '00000', message: line }))
      }
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
  return error.facts(severity)
}
