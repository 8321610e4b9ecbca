import { backend } from '../wire/message-types.ts'
import type { PreparedStatement } from './prepared-statement.ts'

/** How the next part of an extended answer is treated, one entry per message that it answers. */
export const scriptOp = {
  /** The server answers; the client gets it. */
  forward: 0,
  /** The server answers; the client did not ask. */
  swallow: 1,
  /** The client asked; the server was not. */
  inventParse: 2,
  inventClose: 3,
  /** The client asked, and has its answer from another server connection. */
  settled: 4,
  /** As `swallow`: our Describe of a new statement, whose columns are kept. */
  shape: 5,
} as const

/**
 * What becomes of a segment's answer where the server was not asked exactly what the client has
 * asked. Common segments have none.
 */
export class AnswerScript {
  readonly #ops: number[] = []
  readonly #statements: (PreparedStatement | null)[] = []
  /** Where the entries of `Request.kinds` are. */
  readonly #units: number[] = []
  #unnamedAt = -1
  /** Names that our own messages make or close, by entry. */
  #names: Map<number, { readonly name: string; readonly isMade: boolean }> | null = null
  /** Entries that are answered in pgsplit's words, and which of the request's they are. */
  #owns: Map<number, number> | null = null
  /** The entry that comes next. */
  at = 0
  /** The entry of a Query or FunctionCall that ends the segment, or -1. */
  queryAt = -1

  get length(): number {
    return this.#ops.length
  }

  /** What comes next, or undefined at the end. */
  get op(): number | undefined {
    return this.#ops[this.at]
  }

  /** The statement that the next part prepares or describes. */
  get statement(): PreparedStatement | null {
    return this.#statements[this.at] ?? null
  }

  /** Something of ours; `statement`: it is prepared by that. */
  push(op: number, statement: PreparedStatement | null): void {
    this.#ops.push(op)
    this.#statements.push(statement)
  }

  /** The next entry of `Request.kinds`. */
  pushUnit(op: number, statement: PreparedStatement | null): void {
    this.#units.push(this.#ops.length)
    this.push(op, statement)
  }

  /** The entry that was pushed last, or the `ahead`th behind it, has an answer of pgsplit's own. */
  own(unit: number, ahead = 0): void {
    this.#owns ??= new Map()
    this.#owns.set(this.#ops.length - 1 + ahead, unit)
  }

  /** Which entry of `Request.kinds` comes next, if that has an answer of pgsplit's own; or -1. */
  get ownUnit(): number {
    return this.#owns?.get(this.at) ?? -1
  }

  /**
   * Has this entry of `Request.kinds` been answered? The statements of a Query at the end count as
   * entries behind it.
   */
  isDone(unit: number): boolean {
    const last = this.#units.length - 1
    const at = this.#units[Math.min(unit, last)]
    return at !== undefined && this.at > at + Math.max(0, unit - last)
  }

  /** Has our own Parse or Close of the unnamed statement been answered, if there is one? */
  get hasUnnamed(): boolean {
    return this.at > this.#unnamedAt
  }

  /** As `push`, for our own Parse or Close of the unnamed statement. */
  pushUnnamed(): void {
    this.#unnamedAt = this.#ops.length
    this.push(scriptOp.swallow, null)
  }

  /** Steps over one message of the server; true: it is not for the client. */
  take(type: number, isLast: boolean): boolean {
    const { op } = this
    if (isLast && endsUnit(type)) this.at++
    return op === scriptOp.swallow || op === scriptOp.shape
  }

  /** As `push` of a `swallow`, for our own Parse or Close of a statement that is no client's. */
  pushName(name: string, isMade: boolean): void {
    this.#names ??= new Map()
    this.#names.set(this.#ops.length, { name, isMade })
    this.push(scriptOp.swallow, null)
  }

  /** Takes back what the server has not confirmed, behind an error. */
  undo(prepared: Map<string, true>): void {
    for (let i = this.at; i < this.#statements.length; i++) {
      const statement = this.#statements[i]
      if (statement !== null && statement !== undefined) prepared.delete(statement.serverName)
      const named = this.#names?.get(i)
      if (named?.isMade === true) prepared.delete(named.name)
      else if (named !== undefined) prepared.set(named.name, true)
    }
  }
}

/** Is this the last message of the answer to one extended message? */
export function endsUnit(type: number): boolean {
  return (
    type === backend.parseComplete ||
    type === backend.bindComplete ||
    type === backend.closeComplete ||
    type === backend.rowDescription ||
    type === backend.noData ||
    type === backend.commandComplete ||
    type === backend.emptyQueryResponse ||
    type === backend.portalSuspended
  )
}
