import {
  createTableRelationsHelpers,
  DefaultLogger,
  type DrizzleConfig,
  type ExtractTablesWithRelations,
  extractTablesRelationalConfig,
  type Logger,
  type RelationalSchemaConfig,
} from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'

type Cache = NonNullable<DrizzleConfig['cache']>

/** What all Drizzle databases of one set of sessions share; made once, as `drizzle()` makes it. */
export interface DrizzleParts<TSchema extends Record<string, unknown>> {
  readonly dialect: PgDialect
  readonly schema: RelationalSchemaConfig<ExtractTablesWithRelations<TSchema>> | undefined
  readonly options: { readonly logger?: Logger; readonly cache?: Cache }
}

/** Drizzle's configuration as a caller has taken it apart. */
export interface GivenConfig<TSchema extends Record<string, unknown>> {
  readonly schema: TSchema | undefined
  readonly casing: DrizzleConfig['casing'] | undefined
  readonly logger: boolean | Logger | undefined
  readonly cache: Cache | undefined
}

/** What `drizzle()` makes of its configuration. */
export function drizzleParts<TSchema extends Record<string, unknown>>(
  config: GivenConfig<TSchema>,
): DrizzleParts<TSchema> {
  const { casing, logger, cache } = config
  const given = logger === true ? new DefaultLogger() : logger === false ? undefined : logger
  return {
    dialect: new PgDialect(casing === undefined ? {} : { casing }),
    schema: config.schema === undefined ? undefined : relationsOf(config.schema),
    options: {
      ...(given === undefined ? {} : { logger: given }),
      ...(cache === undefined ? {} : { cache }),
    },
  }
}

function relationsOf<TSchema extends Record<string, unknown>>(
  fullSchema: TSchema,
): RelationalSchemaConfig<ExtractTablesWithRelations<TSchema>> {
  const { tables, tableNamesMap } = extractTablesRelationalConfig<
    ExtractTablesWithRelations<TSchema>
  >(fullSchema, createTableRelationsHelpers)
  return { fullSchema, schema: tables, tableNamesMap }
}

/** The cache as `drizzle()` shows it: `$cache.invalidate` is its own `onMutate`. */
export function shownCache({ cache }: { readonly cache?: Cache }): object | undefined {
  return cache === undefined ? undefined : Object.assign(cache, { invalidate: cache.onMutate })
}
