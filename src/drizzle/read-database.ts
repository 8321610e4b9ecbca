import type { PgTransactionConfig } from 'drizzle-orm/pg-core'

/** What a read session doesn't have: builders of writes, and what changes something by its nature. */
type Writes = 'insert' | 'update' | 'delete' | 'refreshMaterializedView'
type Reads = 'select' | 'selectDistinct' | 'selectDistinctOn'

/** As much as is asked of a Drizzle database, of whichever version. */
interface WithQueries {
  with: (...queries: never[]) => unknown
}
interface WithTransaction {
  transaction: (...args: never[]) => unknown
}

type TransactionOf<Db extends WithTransaction> = Parameters<Db['transaction']>[0] extends (
  tx: infer Tx extends WithQueries,
) => unknown
  ? Tx
  : never

/** Modes of a transaction that reads. */
export type ReadTransactionConfig = Omit<PgTransactionConfig, 'accessMode'> & {
  readonly accessMode?: 'read only'
}

/**
 * A Drizzle database without what writes. `execute` is still there: raw SQL is judged when it runs.
 */
export type ReadDatabase<Db extends WithQueries & WithTransaction> = Omit<
  Db,
  Writes | 'with' | 'transaction' | '$client'
> & {
  /** As Drizzle's, for reads only. */
  with: (
    ...queries: Parameters<Db['with']>
  ) => Pick<ReturnType<Db['with']>, Reads & keyof ReturnType<Db['with']>>
  /** A READ ONLY transaction, as a whole on one replica. */
  transaction: <T>(
    transaction: (tx: ReadTransaction<TransactionOf<Db>>) => Promise<T>,
    config?: ReadTransactionConfig,
  ) => Promise<T>
}

/** The transaction as its callback gets it. */
export type ReadTransaction<Tx extends WithQueries> = Omit<Tx, Writes | 'with' | 'transaction'> & {
  with: (
    ...queries: Parameters<Tx['with']>
  ) => Pick<ReturnType<Tx['with']>, Reads & keyof ReturnType<Tx['with']>>
  /** A savepoint. */
  transaction: <T>(transaction: (tx: ReadTransaction<Tx>) => Promise<T>) => Promise<T>
}
