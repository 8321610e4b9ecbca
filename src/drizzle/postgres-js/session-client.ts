import type postgres from 'postgres'
import type { Door, DoorTransaction, Run, SessionMode } from '../door.ts'
import type { JsConnection, RunOptions } from './js-connection.ts'

type Rows = postgres.RowList<postgres.Row[]>
type RunRows = Run<JsConnection, Rows>

/** What `unsafe` gives: it runs when it is awaited, with rows as objects or, by `values()`, as arrays. */
export interface PendingRows extends PromiseLike<Rows> {
  values(): PromiseLike<Rows>
}

/** What Drizzle uses of a postgres.js client inside of a transaction. */
export interface ScopeClient {
  readonly options: postgres.ParsedOptions
  unsafe(text: string, params?: readonly unknown[], options?: RunOptions): PendingRows
  savepoint<T>(scope: (client: ScopeClient) => T | Promise<T>): Promise<T>
}

/** What Drizzle takes for a postgres.js client: each statement goes where it belongs when it runs. */
export class SessionClient<Context> {
  readonly options: postgres.ParsedOptions
  readonly #door: Door<JsConnection, Context>
  readonly #mode: SessionMode
  readonly #context: () => Context

  constructor(
    door: Door<JsConnection, Context>,
    mode: SessionMode,
    context: () => Context,
    options: postgres.ParsedOptions,
  ) {
    this.options = options
    this.#door = door
    this.#mode = mode
    this.#context = context
  }

  unsafe(text: string, params: readonly unknown[] = [], options: RunOptions = {}): PendingRows {
    return pending((isArrays) =>
      this.#door.query(this.#mode, this.#context(), text, runOf(text, params, options, isArrays)),
    )
  }

  /** A transaction, with `modes` such as `isolation level serializable`. */
  async begin<T>(
    modes: string | ((client: ScopeClient) => T | Promise<T>),
    scope?: (client: ScopeClient) => T | Promise<T>,
  ): Promise<T> {
    const [words, work] = typeof modes === 'string' ? [modes, scope] : ['', modes]
    if (work === undefined) throw new TypeError('begin() needs a function')
    const transaction = this.#door.begin(this.#mode, this.#context())
    const command = (text: string): Promise<unknown> =>
      transaction.query(text, runOf(text, [], {}, false))
    try {
      // Modes are words; as postgres.js does, nothing else gets through.
      await command(`begin ${words.replace(/[^a-z ]/gi, '')}`.trim())
      return await inScope(transaction, this.options, work, {
        done: () => command('commit'),
        failed: () => command('rollback'),
        marks: { last: 0 },
      })
    } finally {
      transaction.release()
    }
  }
}

interface ScopeEnd {
  done(): Promise<unknown>
  failed(): Promise<unknown>
  /** Savepoints are numbered through the whole transaction. */
  readonly marks: { last: number }
}

async function inScope<T>(
  transaction: DoorTransaction<JsConnection>,
  options: postgres.ParsedOptions,
  work: (client: ScopeClient) => T | Promise<T>,
  { done, failed, marks }: ScopeEnd,
): Promise<T> {
  let failure: { readonly error: unknown } | null = null
  const query = async (text: string, run: RunRows): Promise<Rows> => {
    try {
      return (await transaction.query(text, run)) ?? noRows()
    } catch (error) {
      failure ??= { error }
      throw error
    }
  }
  const client: ScopeClient = {
    options,
    unsafe: (text, params = [], runOptions = {}) =>
      pending((isArrays) => query(text, runOf(text, params, runOptions, isArrays))),
    savepoint: async (inner) => {
      const mark = `s${marks.last++}`
      const command = (text: string): Promise<unknown> =>
        transaction.query(text, runOf(text, [], {}, false))
      await command(`savepoint ${mark}`)
      return inScope(transaction, options, inner, {
        done: async () => {},
        failed: () => command(`rollback to ${mark}`),
        marks,
      })
    },
  }
  let result: T
  try {
    result = await work(client)
    throwIf(failure)
  } catch (error) {
    // The first error counts; a connection that is lost has rolled back by itself.
    await failed().catch(() => {})
    throw error
  }
  await done()
  return result
}

/** A statement has failed and nobody rolled back to before it: COMMIT would be a silent ROLLBACK. */
function throwIf(failure: { readonly error: unknown } | null): void {
  if (failure !== null) throw failure.error
}

function runOf(
  text: string,
  params: readonly unknown[],
  options: RunOptions,
  isArrays: boolean,
): RunRows {
  return (connection, hint = '') => connection.run(hint + text, params, options, isArrays)
}

function pending(start: (isArrays: boolean) => Promise<Rows>): PendingRows {
  const lazy = (isArrays: boolean): PromiseLike<Rows> => {
    let started: Promise<Rows> | undefined
    return {
      // biome-ignore lint/suspicious/noThenProperty: as a query of postgres.js, it runs when awaited
      then: (onResult, onError) => {
        started ??= start(isArrays)
        return started.then(onResult, onError)
      },
    }
  }
  return Object.assign(lazy(false), { values: () => lazy(true) })
}

/** The result of what did not have to be sent. */
function noRows(): Rows {
  return Object.assign([], { count: 0, command: '' }) as unknown as Rows
}
