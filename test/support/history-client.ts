import { AsyncLocalStorage } from 'node:async_hooks'
import { sql } from 'drizzle-orm'
import pg from 'pg'
import type { Consistency } from '../../src/consistency.ts'
import type { createSessions } from '../../src/drizzle/index.ts'

/** What a client of the history asks for: a text with numbers for its `$n`. */
export interface Asked {
  readonly text: string
  /** Of a prepared statement. */
  readonly name?: string
  readonly values?: readonly number[]
}

/** One client at a door of pgsplit, as the history uses it: one statement after the other. */
export interface HistoryClient {
  query(asked: Asked): Promise<{ readonly command: string; readonly rows: readonly unknown[] }>
  /** The token of what it has written and seen. */
  causalToken(): Promise<string>
  useToken(token: string): Promise<void>
  /** Where its last statement went, for people. */
  lastRoute(): Promise<string>
  end(): Promise<void>
}

/** Makes a client that knows nothing yet. `onEnd`: its connection was lost although it had not ended. */
export type OpenClient = (consistency: Consistency, onEnd: () => void) => Promise<HistoryClient>

/** A connection to one of the proxies. */
export function proxyClients(url: string): OpenClient {
  return async (consistency, onEnd) => {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 20_000 })
    let hasEnded = false
    client.on('error', () => {})
    await client.connect()
    client.on('end', () => {
      if (!hasEnded) onEnd()
    })
    await client.query(`SET pgsplit.consistency = '${consistency}'`)
    const shown = async (name: string): Promise<string> => {
      const { rows } = await client.query(`SHOW ${name}`)
      return String(rows[0]?.[name])
    }
    return {
      query: ({ text, name, values }) =>
        client.query({
          text,
          ...(name === undefined ? {} : { name }),
          ...(values === undefined ? {} : { values: [...values] }),
        }),
      causalToken: () => shown('pgsplit.causal_token'),
      useToken: async (token) => {
        await client.query(`SET pgsplit.causal_token = '${token}'`)
      },
      lastRoute: () => shown('pgsplit.last_route').catch(() => '?'),
      end: async () => {
        hasEnded = true
        await client.end().catch(() => {})
      },
    }
  }
}

type Sessions = ReturnType<typeof createSessions>
type Found = { readonly command: string; readonly rows: readonly unknown[] }
type Execute = (asked: Asked) => Promise<Found>

/** A transaction of Drizzle that is driven from outside of its callback. */
interface OpenTransaction {
  readonly execute: Execute
  /** Ends the callback; resolves or rejects as transaction() does. */
  readonly finish: (isCommitted: boolean) => Promise<void>
}

class RolledBack extends Error {}

/** A request's context at the in-process door. */
export function sessionClients(sessions: Sessions): OpenClient {
  return async (consistency) => {
    const inContext = sessions.run(() => AsyncLocalStorage.snapshot(), { consistency })
    let transaction: OpenTransaction | null = null
    const query: Execute = async (asked) => {
      const { text } = asked
      const [verb] = text.split(/\s/, 1)
      if (verb === 'BEGIN') {
        transaction = await begin(sessions, text)
        return { command: 'BEGIN', rows: [] }
      }
      if (verb === 'COMMIT' || verb === 'ROLLBACK') {
        const { finish } = transaction ?? {}
        transaction = null
        await finish?.(verb === 'COMMIT')
        return { command: verb, rows: [] }
      }
      if (transaction !== null) return transaction.execute(asked)
      // What only reads is asked of a read session, and now and then of the other.
      const isRead = verb === 'SELECT'
      return executeOn(isRead ? sessions.getSession() : sessions.getSession(true))(asked)
    }
    return {
      query: (asked) => inContext(() => query(asked)),
      causalToken: () => inContext(() => sessions.causalToken()),
      useToken: async (token) => inContext(() => sessions.afterWrite(token)),
      lastRoute: async () => JSON.stringify(sessions.snapshot()),
      end: () =>
        inContext(() =>
          query({ text: 'ROLLBACK' }).then(
            () => {},
            () => {},
          ),
        ),
    }
  }
}

async function begin(sessions: Sessions, text: string): Promise<OpenTransaction> {
  const begun = Promise.withResolvers<Execute>()
  const ending = Promise.withResolvers<void>()
  const isRepeatable = text.includes('REPEATABLE READ')
  const config = isRepeatable ? ({ isolationLevel: 'repeatable read' } as const) : undefined
  const work = async (tx: Executor): Promise<void> => {
    begun.resolve(executeOn(tx))
    await ending.promise
  }
  const done = (
    text.includes('READ ONLY')
      ? sessions.getSession().transaction(work, config)
      : sessions.getSession(true).transaction(work, config)
  ).catch((error: unknown) => {
    begun.reject(error)
    if (!(error instanceof RolledBack)) throw causeOf(error)
  })
  done.catch(() => {})
  return {
    execute: await begun.promise,
    finish: (isCommitted) => {
      if (isCommitted) ending.resolve()
      else ending.reject(new RolledBack())
      return done
    },
  }
}

interface Executor {
  execute(query: ReturnType<typeof sql>): PromiseLike<unknown>
}

function executeOn(db: Executor): Execute {
  return async ({ text, values = [] }) => {
    const parts = text
      .split(/(\$\d+)/)
      .map((part) =>
        part.startsWith('$') ? sql`${values[Number(part.slice(1)) - 1]}` : sql.raw(part),
      )
    try {
      return (await db.execute(sql.join(parts))) as Found
    } catch (error) {
      throw causeOf(error)
    }
  }
}

/** Drizzle wraps what went wrong. */
function causeOf(error: unknown): unknown {
  return (error instanceof Error ? error.cause : undefined) ?? error
}
