import type { PgDatabase, PgQueryResultHKT, PgTransactionConfig } from 'drizzle-orm/pg-core'

/** What a read session doesn't have: builders of writes, and what changes something by its nature. */
type Writes = 'insert' | 'update' | 'delete' | 'refreshMaterializedView'
type Reads = 'select' | 'selectDistinct' | 'selectDistinctOn'

/** Modes of a transaction that reads. */
export type ReadTransactionConfig = Omit<PgTransactionConfig, 'accessMode'> & {
  readonly accessMode?: 'read only'
}

/**
 * A Drizzle database without what writes. `execute` is still there: raw SQL is judged when it runs.
 */
export type ReadDatabase<Db extends PgDatabase<PgQueryResultHKT, Record<string, unknown>>> = Omit<
  Db,
  Writes | 'with' | 'transaction' | '$client'
> & {
  /** As Drizzle's, for reads only. */
  with: (...queries: Parameters<Db['with']>) => Pick<ReturnType<Db['with']>, Reads>
  /** A READ ONLY transaction, as a whole on one replica. */
  transaction: <T>(
    transaction: (
      tx: ReadTransaction<Parameters<Parameters<Db['transaction']>[0]>[0]>,
    ) => Promise<T>,
    config?: ReadTransactionConfig,
  ) => Promise<T>
}

/** The transaction as its callback gets it. */
export type ReadTransaction<Tx extends { with: (...queries: never[]) => unknown }> = Omit<
  Tx,
  Writes | 'with' | 'transaction'
> & {
  with: (
    ...queries: Parameters<Tx['with']>
  ) => Pick<ReturnType<Tx['with']>, Reads & keyof ReturnType<Tx['with']>>
  /** A savepoint. */
  transaction: <T>(transaction: (tx: ReadTransaction<Tx>) => Promise<T>) => Promise<T>
}
