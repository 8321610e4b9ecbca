import { AsyncLocalStorage } from 'node:async_hooks'
import type { ContextCarrier } from '../../src/drizzle/context-carrier.ts'
import { PgSplitError } from '../../src/errors.ts'
import { formatCausalToken, parseCausalToken } from '../../src/routing/watermark.ts'

interface FakeContext {
  token: string
  isPending: boolean
  hasUsedPrimary: boolean
  readonly isPrimaryOnly: boolean
  readonly affinity: string | undefined
}

/**
 * A ContextCarrier without a database. `primary` counts writes; a replica stays at `replica`. How a
 * position comes is for `positions` to say: at once, later, or never (the primary is dead).
 */
export class FakeCarrier implements ContextCarrier {
  positions: 'at once' | 'later' | 'never' | 'hangs' = 'at once'
  primary = 100n
  replica = 100n
  /** How often a context was asked for a position outside of any context. */
  strays = 0
  readonly #contexts = new AsyncLocalStorage<FakeContext>()
  readonly #systemIdentifier: string

  constructor(systemIdentifier = '7312345678901234567') {
    this.#systemIdentifier = systemIdentifier
  }

  run<T>(fn: () => T, options: { readonly token?: string; readonly affinity?: string } = {}): T {
    const { token = '', affinity } = options
    const isPrimaryOnly = token === 'primary'
    if (token !== '' && !isPrimaryOnly) {
      const parsed = parseCausalToken(token)
      const own = this.#systemIdentifier
      if (parsed === null || (parsed.systemIdentifier ?? own) !== own) {
        throw new PgSplitError({ sqlstate: '22023', message: 'no token of this cluster' })
      }
    }
    const context: FakeContext = {
      token: isPrimaryOnly ? '' : token,
      isPending: false,
      hasUsedPrimary: false,
      isPrimaryOnly,
      affinity,
    }
    return this.#contexts.run(context, fn)
  }

  async causalToken(): Promise<string> {
    const context = this.#context()
    if (context.isPending && this.positions === 'later') await new Promise(setImmediate)
    if (context.isPending && this.positions === 'hangs') await new Promise(() => {})
    if (context.isPending && this.positions === 'never') {
      throw new PgSplitError({ sqlstate: '57P03', message: 'no position' })
    }
    context.isPending = false
    return context.token
  }

  causalTokenNow(): string | null {
    const context = this.#context()
    if (this.positions === 'at once') context.isPending = false
    return context.isPending ? null : context.token
  }

  hasUsedPrimary(): boolean | undefined {
    return this.#context().hasUsedPrimary
  }

  /** Something is written in the current context. */
  write(): void {
    this.primary += 1n
    this.#see(this.primary, true)
  }

  /** Reads where the context may: gives the node and the position that was seen. */
  read(): string {
    const context = this.#context()
    const owed = parseCausalToken(context.token)?.lsn ?? 0n
    if (context.isPrimaryOnly || owed > this.replica) {
      this.#see(this.primary, true)
      return `primary ${this.primary}`
    }
    this.#see(this.replica, false)
    return `replica ${this.replica}`
  }

  affinity(): string | undefined {
    return this.#context().affinity
  }

  isInContext(): boolean {
    return this.#contexts.getStore() !== undefined
  }

  tokenAt(lsn: bigint, systemIdentifier: string | null = this.#systemIdentifier): string {
    return formatCausalToken({ timeline: 1, lsn: lsn as never, systemIdentifier })
  }

  #see(lsn: bigint, onPrimary: boolean): void {
    const context = this.#context()
    const owed = parseCausalToken(context.token)?.lsn ?? 0n
    if (onPrimary) context.hasUsedPrimary = true
    if (lsn <= owed) return
    context.token = this.tokenAt(lsn)
    context.isPending = true
  }

  #context(): FakeContext {
    const context = this.#contexts.getStore()
    if (context !== undefined) return context
    this.strays += 1
    throw new Error('used outside of any context')
  }
}
