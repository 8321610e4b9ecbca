import type { Effect } from './statement-class.ts'

/**
 * What the classifier knows of one database. Names are bare (no schema) and judged over all
 * schemas and overloads: a name is harmless only if nothing of that name is harmful.
 */
export interface CatalogSets {
  /** Changes when anything below does; equal digests mean equal sets. */
  readonly digest: string
  /** `server_version_num` of the primary that it was read from. */
  readonly serverVersion: number
  /** Functions and aggregates that may run on a replica. A name in no set is unknown. */
  readonly functions: ReadonlySet<string>
  /** Those of `functions` whose result depends on no stored data and no catalog. */
  readonly pureFunctions: ReadonlySet<string>
  /** Name → why a call must run on the primary, as a clause: `is declared VOLATILE`. */
  readonly unsafeFunctions: ReadonlyMap<string, string>
  /** The unsafe ones that only read, what the node itself has: a READ ONLY transaction may call them. */
  readonly nodeFunctions: ReadonlySet<string>
  /** The unsafe ones that take one argument: `t.f` and `(x).f` call them without parentheses. */
  readonly attributeFunctions: ReadonlySet<string>
  /** User functions and procedures whose source changes session state → what it does. */
  readonly sessionFunctions: ReadonlyMap<string, string>
  /** Those, and others, about whose effects on the session the server can be asked afterwards. */
  readonly sessionEffects: ReadonlyMap<string, readonly Effect[]>
  /** User functions and procedures whose source creates or alters catalog objects. */
  readonly ddlFunctions: ReadonlySet<string>
  /** Operator → why its use must go to the primary. */
  readonly unsafeOperators: ReadonlyMap<string, string>
  /** Every type name, with the names that SQL spells in its own way (`int`, `varchar`). */
  readonly types: ReadonlySet<string>
  /** Type names that are not built in: values of them depend on the catalog. */
  readonly userTypes: ReadonlySet<string>
  /** Type → why: checks, casts or I/O functions that may write. */
  readonly unsafeTypes: ReadonlyMap<string, string>
  /** The same by oid, for the parameter types of a Parse. */
  readonly unsafeTypeOids: ReadonlySet<number>
  /** Relations that a replica may read. */
  readonly relations: ReadonlySet<string>
  /** Relation → why it must be read from the primary. */
  readonly unsafeRelations: ReadonlyMap<string, string>
  /** Parameters whose value is the node's own: current_setting() of them goes to the primary. */
  readonly nodeParameters: ReadonlySet<string>
  /** Why no statement at all may be read from a replica, or null: an implicit cast or operator
   * between built-in types that may write can't be seen in a text. */
  readonly everything: string | null
  /** For the log, once per digest: what costs replica reads and how to get them back. */
  readonly warnings: readonly string[]
}
