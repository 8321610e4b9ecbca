import type { Effect } from './statement-class.ts'

/** What a use of something leaves in the session. */
export interface SessionUse {
  readonly effects: readonly Effect[]
  /** Why the session must be pinned for what no effect stands for; null: for nothing. */
  readonly pin: string | null
}

/** Names that may be too many for a set of their own. */
export interface NameSet extends Iterable<string> {
  has(name: string): boolean
}

/** What can be done to a relation. */
export type RelationUse = 'read' | 'insert' | 'update' | 'delete' | 'truncate'

/** What a relation or type of this name does to the session; what isn't there does nothing. */
export type NamedUses = Readonly<Partial<Record<RelationUse | 'type', SessionUse>>>

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
  /** The unsafe ones, of users, that are so only by being declared VOLATILE. */
  readonly declaredVolatile: ReadonlySet<string>
  /** The unsafe ones that only read, what the node itself has: a READ ONLY transaction may call them. */
  readonly nodeFunctions: ReadonlySet<string>
  /** The unsafe ones that take one argument: `t.f` and `(x).f` call them without parentheses. */
  readonly attributeFunctions: ReadonlySet<string>
  /** Functions that leave in the session what no effect stands for → what they do. */
  readonly sessionFunctions: ReadonlyMap<string, string>
  /** Effects on the session, of functions that aren't proved to have none. */
  readonly sessionEffects: ReadonlyMap<string, readonly Effect[]>
  /** Relations and types that aren't proved to leave the session as it is. */
  readonly namedUses: ReadonlyMap<string, NamedUses>
  /** The same of operators. */
  readonly operatorUses: ReadonlyMap<string, SessionUse>
  /** What a use of any relation or type may do: the worst of all. */
  readonly anyUses: NamedUses
  /** What DDL does by event triggers; null: nothing. */
  readonly ddlUse: SessionUse | null
  /** What any statement may do, unseen in its text. */
  readonly hiddenUse: SessionUse | null
  /** Names of functions and operators that put SQL together, and that aren't PostgreSQL's alone. */
  readonly replacedNames: ReadonlySet<string>
  /**
   * Functions, types, relations and operators that may look at a custom parameter, also by what they
   * run; null: anything may, unseen in a text.
   */
  readonly customReaders: ReadonlySet<string> | null
  /** The same of what may ask when its transaction began. */
  readonly clockReaders: ReadonlySet<string> | null
  /** User functions and procedures whose source creates or alters catalog objects. */
  readonly ddlFunctions: ReadonlySet<string>
  /** Operator → why its use must go to the primary. */
  readonly unsafeOperators: ReadonlyMap<string, string>
  /** Every type name, with the names that SQL spells in its own way (`int`, `varchar`). */
  readonly types: NameSet
  /** Type names that are not built in: values of them depend on the catalog. */
  readonly userTypes: NameSet
  /** Type → why: checks, casts or I/O functions that may write. */
  readonly unsafeTypes: ReadonlyMap<string, string>
  /** The same by oid, for the parameter types of a Parse. */
  readonly unsafeTypeOids: ReadonlySet<number>
  /** Relations that a replica may read. */
  readonly relations: NameSet
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
