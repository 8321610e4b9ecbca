import { PgSplitError, ProtocolError } from '../errors.ts'
import * as messages from '../wire/backend-messages.ts'
import { Cursor } from '../wire/cursor.ts'
import type { AdminActions } from './admin-actions.ts'
import { planAdminCommand } from './admin-command.ts'
import type { AdminSource } from './admin-source.ts'
import { splitAdminText } from './admin-text.ts'
import { encodeRowDescription, type Format } from './encode-result.ts'
import type { Portal, Statement } from './portal.ts'

const maxStatements = 64
const maxPortals = 16

const statementKind = 0x53 // S
const portalKind = 0x50 // P

/**
 * Prepared statements and portals of one admin session, and the messages that make, describe and
 * drop them. Methods take a message's body, append the answer to `out`, and throw PgSplitError
 * where PostgreSQL would answer an error.
 */
export class ExtendedQuery {
  readonly #source: AdminSource
  readonly #actions: AdminActions | null
  readonly #statements = new Map<string, Statement>()
  readonly #portals = new Map<string, Portal>()

  constructor(source: AdminSource, actions: AdminActions | null) {
    this.#source = source
    this.#actions = actions
  }

  parse(body: Cursor, out: Buffer[]): void {
    const name = body.string()
    const [tokens, ...more] = splitAdminText(body.string())
    // Declared parameter types say nothing here: no admin command has parameters.
    body.bytes(body.uint16() * 4)
    body.assertEnd()
    if (more.length > 0) {
      throw new PgSplitError({
        sqlstate: '42601',
        message: 'cannot insert multiple commands into a prepared statement',
      })
    }
    assertFree(this.#statements, name, '42P05', 'prepared statement')
    assertRoom(this.#statements, name, maxStatements, 'prepared statements')
    const statement = tokens ? planAdminCommand(tokens, this.#source, this.#actions) : null
    this.#statements.set(name, statement)
    out.push(messages.parseComplete)
  }

  bind(body: Cursor, out: Buffer[]): void {
    const name = body.string()
    const statement = this.#statement(body.string())
    body.bytes(body.uint16() * 2)
    const parameters = body.uint16()
    if (parameters > 0) {
      throw new ProtocolError(
        `bind message supplies ${parameters} parameters, but prepared statement requires 0`,
      )
    }
    const formats = expandFormats(readFormats(body), statement?.columns?.length ?? 0)
    body.assertEnd()
    assertFree(this.#portals, name, '42P03', 'cursor')
    assertRoom(this.#portals, name, maxPortals, 'portals')
    this.#portals.set(name, { statement, formats, rows: null })
    out.push(messages.bindComplete)
  }

  describe(body: Cursor, out: Buffer[]): void {
    const [kind, name] = target(body)
    if (kind === statementKind) {
      const statement = this.#statement(name)
      out.push(messages.parameterDescription([]))
      describeRows(statement, [], out)
    } else {
      const { statement, formats } = this.#portal(name)
      describeRows(statement, formats, out)
    }
  }

  /** The portal and the row limit of an Execute. */
  execute(body: Cursor): { readonly portal: Portal; readonly maxRows: number } {
    const portal = this.#portal(body.string())
    const maxRows = body.int32()
    body.assertEnd()
    return { portal, maxRows }
  }

  /** Closing what does not exist is no error (protocol-flow, "Extended Query"). */
  close(body: Cursor, out: Buffer[]): void {
    const [kind, name] = target(body)
    if (kind === statementKind) this.#statements.delete(name)
    else this.#portals.delete(name)
    out.push(messages.closeComplete)
  }

  /** A simple Query replaces the unnamed statement and portal. */
  dropUnnamed(): void {
    this.#statements.delete('')
    this.#portals.delete('')
  }

  /** Portals live as long as their transaction. */
  dropPortals(): void {
    this.#portals.clear()
  }

  /** DISCARD ALL, DEALLOCATE ALL. */
  dropStatements(): void {
    this.#statements.clear()
  }

  #statement(name: string): Statement {
    const statement = this.#statements.get(name)
    if (statement !== undefined) return statement
    const message = `prepared statement "${name}" does not exist`
    throw new PgSplitError({ sqlstate: '26000', message })
  }

  #portal(name: string): Portal {
    const portal = this.#portals.get(name)
    if (portal !== undefined) return portal
    throw new PgSplitError({ sqlstate: '34000', message: `portal "${name}" does not exist` })
  }
}

function describeRows(statement: Statement, formats: readonly Format[], out: Buffer[]): void {
  const columns = statement?.columns ?? null
  if (columns === null) out.push(messages.noData)
  else out.push(encodeRowDescription(columns, formats))
}

/** Kind and name of a Describe or Close. */
function target(body: Cursor): readonly [kind: number, name: string] {
  const kind = body.byte()
  const name = body.string()
  body.assertEnd()
  if (kind === statementKind || kind === portalKind) return [kind, name]
  throw new ProtocolError(`message names neither a statement nor a portal, but kind ${kind}`)
}

function readFormats(body: Cursor): Format[] {
  const count = body.uint16()
  const codes = new Cursor(body.bytes(count * 2), 0, count * 2)
  return Array.from({ length: count }, () => {
    const code = codes.int16()
    if (code !== 0 && code !== 1) throw new ProtocolError(`unsupported format code: ${code}`)
    return code
  })
}

/** protocol-message-formats, "Bind": none = all text, one = for every column, else one each. */
function expandFormats(codes: readonly Format[], columns: number): readonly Format[] {
  if (codes.length === 0) return []
  const [first = 0] = codes
  if (codes.length === 1) return new Array<Format>(columns).fill(first)
  if (codes.length === columns) return codes
  throw new ProtocolError(
    `bind message has ${codes.length} result formats but query has ${columns} columns`,
  )
}

/** A name in use must be closed first; the unnamed one is replaced. */
function assertFree(
  taken: ReadonlyMap<string, unknown>,
  name: string,
  sqlstate: string,
  what: string,
): void {
  if (name === '' || !taken.has(name)) return
  throw new PgSplitError({ sqlstate, message: `${what} "${name}" already exists` })
}

function assertRoom(
  taken: ReadonlyMap<string, unknown>,
  name: string,
  most: number,
  what: string,
): void {
  if (taken.size < most || taken.has(name)) return
  throw new PgSplitError({
    sqlstate: '54000',
    message: `the admin session has ${most} ${what}, which is the most`,
    hint: 'close some of them, or use the simple query protocol',
  })
}
