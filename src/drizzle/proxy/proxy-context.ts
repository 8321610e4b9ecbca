import type { Consistency } from '../../consistency.ts'
import type { TokenText } from '../../routing/watermark.ts'
import type { ContextOptions } from '../door.ts'
import { joinedTokens, type Line } from './line.ts'

/** Hints that ask the proxy for a level (README, "Where a statement goes"). */
const levelHints = {
  strict: '/* pgsplit: consistency=strict */ ',
  shared: '/* pgsplit: consistency=shared */ ',
  session: '/* pgsplit: consistency=session */ ',
  bounded: '/* pgsplit: consistency=bounded */ ',
  eventual: '/* pgsplit: consistency=eventual */ ',
  primary: '',
} as const satisfies Record<Consistency, string>

/** What the door keeps of one client: a web request, a job, or a session object outside of both. */
export class ProxyContext<Connection> {
  readonly isShared: boolean
  /** All its reads go to the primary. */
  readonly isPrimary: boolean
  /** A constant comment in front of its reads, for another level of consistency; '' = the proxy's. */
  readonly hint: string
  /** The same in front of what runs on the primary. */
  readonly primaryHint: string
  /** A token of another cluster says nothing, and is no error. */
  readonly isForeignIgnored: boolean
  /** What its reads must see. */
  token: TokenText | null = null
  /** And what these lines have shown it or written for it, up to so many uses. */
  readonly seen = new Map<Line<Connection>, number>()
  last: Line<Connection> | null = null
  inFlight = 0
  begun = 0

  constructor({
    token,
    consistency,
    commitVisible = 0,
    isShared,
    isForeignIgnored,
  }: ContextOptions) {
    this.isShared = isShared === true
    this.isPrimary = token === 'primary' || consistency === 'primary'
    this.hint = consistency === undefined ? '' : levelHints[consistency]
    const shown = commitVisible === 0 ? '' : `, commit_visible=${commitVisible}`
    this.primaryHint = `/* pgsplit: primary${shown} */ `
    this.isForeignIgnored = isForeignIgnored === true
  }

  /** Takes over what lines have told. True: nothing is left to ask; `line` itself need not be asked. */
  settle(line: Line<Connection> | null): boolean {
    let isSettled = true
    for (const [other, uses] of this.seen) {
      if (other === line) continue
      if (other.captured.uses < uses) {
        isSettled = false
        continue
      }
      this.token = joinedTokens(this.token, other.captured.token)
      this.seen.delete(other)
    }
    return isSettled
  }
}

/** One statement or transaction on a line. */
export class Use<Connection> {
  readonly #context: ProxyContext<Connection>
  readonly #process: ProxyContext<Connection>
  readonly #line: Line<Connection>
  readonly #before: ReadonlyMap<Line<Connection>, number>
  readonly #processBefore: ReadonlyMap<Line<Connection>, number>
  readonly #wasAlone: boolean
  readonly #begun: number

  constructor(
    context: ProxyContext<Connection>,
    process: ProxyContext<Connection>,
    line: Line<Connection>,
  ) {
    this.#context = context
    this.#process = process
    this.#line = line
    this.#before = new Map(context.seen)
    this.#processBefore = new Map(process.seen)
    this.#wasAlone = context.inFlight === 0
    context.inFlight++
    this.#begun = ++context.begun
    context.last = line
  }

  /** Nothing was shown and nothing can have been done. */
  failed(): void {
    this.#context.inFlight--
  }

  /**
   * `isPrimary`: it ran on the primary, which shows all that was there before: from now on the line
   * stands for whatever the context had written and seen when it began.
   */
  ended(isPrimary: boolean, isWrite: boolean): void {
    const context = this.#context
    const process = this.#process
    const line = this.#line
    const uses = ++line.uses
    context.inFlight--
    if (isPrimary) {
      forget(context.seen, this.#before)
      if (isWrite || process.seen.size > 0) {
        forget(process.seen, this.#processBefore)
        process.seen.set(line, uses)
      }
    }
    // Of a session object that many use at once nobody can say what was seen before what.
    const isOrdered = this.#wasAlone && context.begun === this.#begun
    if (!context.isShared || isOrdered) context.seen.set(line, uses)
  }
}

function forget<L>(seen: Map<L, number>, before: ReadonlyMap<L, number>): void {
  for (const [line, uses] of before) if (seen.get(line) === uses) seen.delete(line)
}
