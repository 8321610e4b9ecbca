import type * as drizzleOrm from 'drizzle-orm'
import type { DrizzleConfig, TablesRelationalConfig } from 'drizzle-orm'

/**
 * The types of whichever Drizzle is installed: what `drizzle()` is told of the tables is the `schema`
 * of 0.44 and 0.45, and the `relations` of 1.0.
 */
type IsRelations = typeof drizzleOrm extends { defineRelations: unknown } ? true : false
type ModelName = IsRelations extends true ? 'relations' : 'schema'

/** A schema, or relations. */
export type AnyModel = IsRelations extends true ? TablesRelationalConfig : Record<string, unknown>

/** Databases that know no tables by name. */
// biome-ignore lint/complexity/noBannedTypes: Drizzle's own EmptyRelations
export type NoModel = IsRelations extends true ? {} : Record<string, never>

/** Drizzle's own configuration. */
export type ModelConfig<TModel> = { readonly [name in ModelName]?: TModel } & Omit<
  // biome-ignore lint/suspicious/noExplicitAny: what is bound to the model is left out
  DrizzleConfig<any>,
  ModelName
> &
  // biome-ignore lint/complexity/noBannedTypes: nothing more
  (IsRelations extends true ? { readonly codecs?: object } : {})

/** Where Drizzle's own `withReplicas` reads from the primary unless it is told otherwise. */
// biome-ignore lint/complexity/noBannedTypes: nothing more
export type WithReplica<Db> = IsRelations extends true ? { readonly $replica: Db } : {}
