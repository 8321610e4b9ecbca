import type { StatementClass, TransactionModes } from '../sql/statement-class.ts'
import { joinTouched, type Touched } from '../sql/touched-names.ts'
import type { DoorTransaction, Run, SessionMode } from './door.ts'
import { endOf, spoils } from './judge-text.ts'
import { assertAllowed, hasEnded, modesOf, wasLost } from './transaction-modes.ts'

/** `begun`: its BEGIN waits for the first statement. `broken`: its connection went. */
type State<Open> =
  | { readonly kind: 'new' }
  | { readonly kind: 'begun'; readonly modes: TransactionModes }
  | { readonly kind: 'open'; readonly open: Open }
  | { readonly kind: 'broken' }
  | { readonly kind: 'done' }

/**
 * What every door's transactions have in common: BEGIN goes out with the first statement, a read
 * session's has only what is allowed in it, and after its end nothing comes but an error. `Open` is
 * what the door holds while it is open.
 */
export abstract class LazyTransaction<Connection, Open> implements DoorTransaction<Connection> {
  protected readonly mode: SessionMode
  /** Leaves something in its connection that the next user would meet. */
  protected isSpoiled = false
  protected ddl: Touched | undefined
  #state: State<Open> = { kind: 'new' }

  constructor(mode: SessionMode) {
    this.mode = mode
  }

  /** The class of the text, once statements of this context may be routed. */
  protected abstract judge(text: string): Promise<StatementClass>

  /** Sends BEGIN and the first statement. Calls `opened` or `broke`, whatever comes of it. */
  protected abstract first<R>(
    begun: TransactionModes,
    cls: StatementClass,
    run: Run<Connection, R>,
  ): Promise<R>

  /** Any later statement. Calls `ended` or `broke` when it was the last one. */
  protected abstract next<R>(
    open: Open,
    cls: StatementClass,
    run: Run<Connection, R>,
  ): Promise<R | null>

  /** The connection goes back; `isSpoiled`: nobody else may have it. */
  protected abstract giveBack(open: Open, isSpoiled: boolean): void

  async query<R>(text: string, run: Run<Connection, R>): Promise<R | null> {
    const cls = await this.judge(text)
    const state = this.#state
    switch (state.kind) {
      case 'new':
        this.#state = { kind: 'begun', modes: modesOf(this.mode, cls) }
        return null
      case 'begun':
        if (endOf(cls) !== null) {
          this.ended()
          return null
        }
        assertAllowed(this.mode, cls)
        // Whatever comes of it: an error does not give back locks and the like.
        this.isSpoiled ||= spoils(cls, true)
        return await this.first(state.modes, cls, run)
      case 'open':
        assertAllowed(this.mode, cls)
        this.isSpoiled ||= spoils(cls, true)
        return await this.next(state.open, cls, run)
      case 'broken':
        if (endOf(cls) === 'rollback') return null
        throw wasLost()
      case 'done':
        // Drizzle rolls back after a COMMIT that failed; what that one said is what counts.
        if (endOf(cls) === 'rollback') return null
        throw hasEnded()
      default:
        return state satisfies never
    }
  }

  release(): void {
    const state = this.#state
    this.ended()
    // It was neither committed nor rolled back: the server does the latter when the connection goes.
    if (state.kind === 'open') this.giveBack(state.open, true)
  }

  protected opened(open: Open): void {
    this.#state = { kind: 'open', open }
  }

  protected broke(): void {
    this.#state = { kind: 'broken' }
  }

  protected ended(): void {
    this.#state = { kind: 'done' }
  }

  /** A statement of it was answered. */
  protected note(cls: StatementClass): void {
    for (const effect of cls.effects) {
      if (effect.kind === 'ddl') this.ddl = joinTouched(this.ddl, effect.touches)
    }
  }
}
