/**
 * The SQL that reads one database's catalog, for PostgreSQL 13 to 18. Everything is cast to text,
 * so that no driver's type parser matters. Constants only; search_path is pinned to pg_catalog, so
 * that nobody's own operators or functions are called with the monitor's rights.
 */

import {
  ADVISORY_UNLOCK_FUNCTIONS,
  SESSION_FUNCTIONS,
  UNPROVED_FUNCTIONS,
} from '../sql/session-functions.ts'

/** First user-defined oid (FirstNormalObjectId). */
export const FIRST_USER_OID = 16_384

/** To be run once per connection. JIT would make the tree scan ten times slower. */
export const SESSION_SETUP =
  "SET jit = off; SET search_path = pg_catalog, pg_temp; SET statement_timeout = '60s'"

/** A consistent view over all queries of one load, where nothing else gives one. */
export const BEGIN_LOAD = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'
export const END_LOAD = 'COMMIT'

export const SERVER =
  "SELECT current_setting('server_version_num') AS version, pg_is_in_recovery()::text AS standby"

/**
 * The catalogs that the sets are made of, each with the rows of it that count. An updated row carries
 * a later xid, so the sums grow; temporary relations and indexes are left out, they come and go all
 * the time.
 */
const PROBED = {
  pg_proc: '',
  pg_class: "WHERE relpersistence <> 't' AND relkind IN ('r', 'v', 'm', 'f', 'p', 'S', 'c')",
  pg_rewrite: '',
  pg_policy: '',
  pg_cast: '',
  pg_operator: '',
  pg_aggregate: '',
  pg_inherits: '',
  pg_extension: '',
  pg_constraint: "WHERE contype IN ('c', 'f')",
  pg_trigger: 'WHERE NOT tgisinternal',
  pg_attrdef: '',
  pg_index: `WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
    OR EXISTS (SELECT FROM unnest(indclass::oid[]) c WHERE c >= ${FIRST_USER_OID})`,
  pg_event_trigger: '',
  pg_opclass: '',
  pg_amproc: '',
  pg_amop: '',
  pg_partitioned_table: '',
  pg_statistic_ext: '',
  pg_am: '',
  pg_ts_template: '',
  pg_ts_parser: '',
  pg_conversion: '',
  pg_type: `WHERE typtype <> 'c' AND typcategory <> 'A' AND oid >= ${FIRST_USER_OID}`,
  pg_attribute: `WHERE atttypid >= ${FIRST_USER_OID} AND attnum > 0`,
}

export type ProbedCatalog = keyof typeof PROBED

export const PROBED_CATALOGS = Object.keys(PROBED) as readonly ProbedCatalog[]

/** Long, and nearly always another catalog changes with them. */
export const SELDOM_ALONE: readonly ProbedCatalog[] = ['pg_attribute', 'pg_type']

/** Between the states of two catalogs in a probe's answer. */
export const STATE_SEPARATOR = '/'

/**
 * Changes whenever a transaction has ended, without which nothing can change, or the configuration
 * was read again. (The time of that is each server process's own.) A setting that was made and taken
 * back between two looks leaves the rows as they were, and connections from in between with the
 * wrong value: so deleted rows are counted, which the server tells some seconds late.
 */
export const GLANCE = `
SELECT pg_is_in_recovery()::text AS standby, pg_current_snapshot()::text AS snapshot,
  pg_conf_load_time()::text AS reloaded,
  pg_stat_get_tuples_deleted('pg_db_role_setting'::regclass)::text AS deleted`

/**
 * `state` changes with every DDL that can change the sets, `defaults` with what new sessions start
 * with: ALTER ROLE or DATABASE … SET. What is `known` of a catalog is taken for unchanged.
 */
export function changeProbe(known: ReadonlyMap<ProbedCatalog, string>): string {
  const states = PROBED_CATALOGS.map((name) =>
    known.has(name)
      ? `'${known.get(name)}'`
      : `(SELECT concat(count(*), ',', sum(xmin::text::bigint)) FROM ${name} ${PROBED[name]})`,
  )
  return `
SELECT concat_ws('${STATE_SEPARATOR}', ${states.join(', ')}) AS state,
  (SELECT concat(count(*), ',', sum(xmin::text::bigint)) FROM pg_db_role_setting) AS defaults,
  ${GLANCE.trim().slice('SELECT '.length)}`
}

/**
 * What was written since the snapshot whose xmin was `xid`, of a row of that alias: whatever was
 * under way by then has a later one. (A row that is frozen keeps its xmin, and age() counts from the
 * latest transaction, so that none that is new is ever older than this.)
 */
function isSince(xid: number, ...aliases: readonly string[]): string {
  const recent = aliases.map((alias) => `age(${alias}.xmin) <= age('${xid}'::xid)`)
  return `(${recent.join(' OR ')})`
}

/** The oids of all rows of a catalog that count, in one value. */
export function keysQuery(name: ProbedCatalog): string {
  return `SELECT string_agg(oid::text, ' ') AS oids FROM ${name} ${PROBED[name]}`
}

/** Further catalogs that a read's answer or error may depend on. */
const ANSWERING = {
  pg_enum: '',
  pg_namespace: "WHERE nspname NOT LIKE 'pg\\_%temp\\_%'",
  pg_range: '',
  pg_collation: '',
  pg_language: '',
  pg_transform: '',
  pg_opfamily: '',
  pg_ts_config: '',
  pg_ts_config_map: '',
  pg_ts_dict: '',
  pg_foreign_server: '',
  pg_foreign_data_wrapper: '',
  pg_foreign_table: '',
  pg_auth_members: '',
  pg_database: '',
  pg_tablespace: '',
  pg_constraint: 'WHERE contypid <> 0',
  pg_attribute: `a WHERE attnum > 0 AND NOT EXISTS (
    SELECT FROM pg_class c WHERE c.oid = a.attrelid AND c.relpersistence = 't')`,
} as const

/** Changes with all DDL, by whomever, that a read's answer or error may depend on. */
export const WHOLE_STATE = `
SELECT pg_is_in_recovery()::text AS standby, pg_current_snapshot()::text AS snapshot, concat_ws(
  '${STATE_SEPARATOR}', ${[...Object.entries(PROBED), ...Object.entries(ANSWERING)]
    .map(
      ([name, rows]) =>
        `(SELECT concat(count(*), ',', sum(xmin::text::bigint)) FROM ${name} ${rows})`,
    )
    .join(', ')},
  (SELECT concat(count(*), ',', sum(hashtext(r::text))) FROM pg_roles r)) AS state`

/**
 * What a stored expression tree calls, reads and converts to. `pg_depend` can't tell: it doesn't
 * record built-in objects.
 */
function references(tree: string): string {
  const fields = 'funcid|opfuncid|aggfnoid|winfnoid|tsmhandler|relid|resulttype|opno|commandType'
  return `(SELECT string_agg(DISTINCT concat_ws(' ', m[1], m[2], m[3]), ',') FROM regexp_matches(
    ${tree}, ':(${fields}) (\\d+)|\\{(ROWMARKCLAUSE|TABLEFUNC|COERCEVIAIO|JSONEXPR|SQLVALUEFUNCTION :op \\d+) ', 'g') AS m)`
}

/** Built-ins that leave something in their session: what calls them is looked at. */
const SESSION_CALLS = `(SELECT ':(?:funcid|opfuncid|aggfnoid|winfnoid|opno|resulttype|relid) (?:\\d{5,}|'
  || string_agg(oid::text, '|') || ') ' FROM pg_proc WHERE oid < ${FIRST_USER_OID} AND proname IN (
    ${[
      ...SESSION_FUNCTIONS.keys(),
      ...ADVISORY_UNLOCK_FUNCTIONS,
      ...UNPROVED_FUNCTIONS.keys(),
      'set_config',
    ]
      .map((name) => `'${name}'`)
      .join(', ')}))`

/** The text of what calls set_config(), for its arguments; other trees say enough. */
function shown(tree: string, text: string): string {
  return `CASE WHEN ${tree} LIKE '%:funcid ' || 'set_config'::regproc::oid || ' %' THEN ${text} END AS shown`
}

/** Every function, or those written since `xid`; the source only of user functions that aren't compiled. */
export function functionsQuery(version: number, xid: number | null = null): string {
  const body =
    version >= 140_000
      ? "concat(p.proargdefaults::text, ' ', p.prosqlbody::text)"
      : 'p.proargdefaults::text'
  const args = "'select ' || pg_get_expr(p.proargdefaults, 0)"
  const code =
    version >= 140_000 ? `concat_ws('; ', pg_get_function_sqlbody(p.oid), ${args})` : args
  return `
SELECT p.oid::text AS oid, p.proname::text AS name, p.provolatile::text AS volatility,
  p.prokind::text AS kind, l.lanname::text AS language, e.extname::text AS extension,
  p.pronargs::text AS args, p.pronargdefaults::text AS defaults,
  (p.provariadic <> 0)::text AS variadic, p.prorettype::text AS returns,
  array_to_string(coalesce(p.proallargtypes, p.proargtypes::oid[]), ' ') AS takes,
  p.proconfig::text AS config,
  CASE WHEN l.lanname = 'internal' OR (p.oid >= ${FIRST_USER_OID} AND l.lanname <> 'c')
    THEN p.prosrc END AS source,
  CASE WHEN p.oid >= ${FIRST_USER_OID} THEN ${references(body)} END AS tree, ${shown(body, code)},
  p.prosupport::oid::text AS support
FROM pg_proc p
JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_depend d
  ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
LEFT JOIN pg_extension e ON e.oid = d.refobjid
WHERE ${xid === null ? 'true' : isSince(xid, 'p', 'l', 'd', 'e')}`
}

export const AGGREGATES = `
SELECT aggfnoid::oid::text AS oid, concat_ws(' ', aggtransfn::oid, aggfinalfn::oid,
  aggcombinefn::oid, aggserialfn::oid, aggdeserialfn::oid, aggmtransfn::oid, aggminvtransfn::oid,
  aggmfinalfn::oid) AS parts
FROM pg_aggregate WHERE aggfnoid::oid >= ${FIRST_USER_OID}`

export const OPERATORS = `
SELECT o.oid::text AS oid, oprname::text AS name, oprcode::oid::text AS function,
  oprleft::text AS left_type, oprright::text AS right_type,
  concat_ws(' ', oprrest::oid, oprjoin::oid) AS estimators
FROM pg_operator o WHERE o.oid >= ${FIRST_USER_OID} OR oprcode::oid >= ${FIRST_USER_OID}`

export const CASTS = `
SELECT castsource::text AS source, casttarget::text AS target, castfunc::text AS function,
  castcontext::text AS context
FROM pg_cast WHERE castfunc <> 0 AND (oid >= ${FIRST_USER_OID} OR castfunc >= ${FIRST_USER_OID})`

/** Without the row types of relations and their arrays, which come with those. */
export function typesQuery(version: number): string {
  const multirange = version >= 140_000 ? 'r.rngmultitypid' : '0'
  return `
SELECT t.oid::text AS oid, t.typname::text AS name, t.typtype::text AS kind,
  t.typrelid::text AS relation, t.typelem::text AS element, t.typbasetype::text AS base,
  t.typarray::text AS array, concat_ws(' ', t.typinput::oid, t.typoutput::oid, t.typreceive::oid,
    t.typsend::oid, t.typmodin::oid, t.typmodout::oid,
    r.rngcanonical::oid, r.rngsubdiff::oid)
    AS functions,
  r.rngsubtype::text AS subtype, ${multirange}::text AS multirange,
  CASE WHEN t.typtype = 'd' THEN
    (SELECT ${references("concat(string_agg(c.conbin::text, ' '), ' ', t.typdefaultbin::text)")}
      FROM pg_constraint c WHERE c.contypid = t.oid) END AS checks,
  CASE WHEN t.typtype = 'd' THEN (SELECT ${shown(
    "concat(string_agg(c.conbin::text, ' '), ' ', t.typdefaultbin::text)",
    "'select ' || concat_ws(', ', string_agg(pg_get_expr(c.conbin, 0), ', '), t.typdefault)",
  )}
      FROM pg_constraint c WHERE c.contypid = t.oid) END AS shown
FROM pg_type t LEFT JOIN pg_range r ON r.rngtypid = t.oid
LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
WHERE t.typrelid = 0 AND coalesce(e.typrelid, 0) = 0`
}

/** Relations, each with its row type, that `which` is true of, an expression over `c`. */
function relationsQuery(which: string): string {
  return `
SELECT c.oid::text AS oid, c.relname::text AS name, c.relkind::text AS kind,
  c.relpersistence::text AS persistence, c.reltype::text AS type, t.typarray::text AS array,
  CASE WHEN a.typname::text <> '_' || c.relname::text THEN a.typname::text END AS array_name
FROM pg_class c
LEFT JOIN pg_type t ON t.oid = c.reltype AND t.oid <> 0
LEFT JOIN pg_type a ON a.oid = t.typarray AND a.oid <> 0
${PROBED.pg_class} AND ${which}`
}

/** The next ones behind that oid, in its order. */
export function someRelations(behind: number, count: number): string {
  return `${relationsQuery(`c.oid > '${behind}'::oid`)} ORDER BY c.oid LIMIT ${count}`
}

/** Those that were written since, or whose row type or its array was. */
export function changedRelations(xid: number): string {
  return relationsQuery(`c.oid = ANY (ARRAY(
    SELECT oid FROM pg_class n WHERE ${isSince(xid, 'n')}
    UNION ALL SELECT typrelid FROM pg_type n WHERE typrelid <> 0 AND ${isSince(xid, 'n')}
    UNION ALL SELECT e.typrelid FROM pg_type n JOIN pg_type e ON e.oid = n.typelem
      WHERE e.typrelid <> 0 AND ${isSince(xid, 'n')}))`)
}

/** Columns of user-defined types only: built-in types harm nobody. */
export const COLUMNS = `
SELECT attrelid::text AS relation, string_agg(DISTINCT atttypid::text, ' ') AS types
FROM pg_attribute
WHERE atttypid >= ${FIRST_USER_OID} AND attnum > 0 AND NOT attisdropped
GROUP BY attrelid`

const VIEWS =
  "pg_rewrite r JOIN pg_class c ON c.oid = ev_class WHERE ev_type = '1' AND c.relkind <> 'm'"
const POLICIES = `pg_policy r JOIN pg_class c ON c.oid = polrelid
WHERE c.relrowsecurity AND polqual IS NOT NULL`

/** Views and the policies of tables on which row security is enabled; or those written since `xid`. */
export function treesQuery(xid: number | null = null): string {
  const since = xid === null ? 'true' : isSince(xid, 'r', 'c')
  return `
SELECT r.oid::text AS oid, ev_class::text AS relation, 'view' AS source,
  ${references('ev_action::text')} AS tree, ${shown('ev_action::text', 'pg_get_viewdef(ev_class)')}
FROM ${VIEWS} AND ${since}
UNION ALL
SELECT '-' || r.oid, polrelid::text, 'policy', ${references('polqual::text')},
  ${shown('polqual::text', "'select ' || pg_get_expr(polqual, polrelid)")}
FROM ${POLICIES} AND ${since}`
}

/** The oids of all of them, in one value; those of policies are negative. */
export const TREE_KEYS = `
SELECT string_agg(key, ' ') AS oids FROM (
  SELECT r.oid::text AS key FROM ${VIEWS} UNION ALL SELECT '-' || r.oid FROM ${POLICIES}) o`

export const INHERITANCE = `
SELECT inhparent::text AS parent, inhrelid::text AS child FROM pg_inherits`

export const TRIGGERS = `
SELECT tgrelid::text AS relation, tgfoid::text AS function, tgtype::text AS type,
  ${references('tgqual::text')} AS tree, ${shown('tgqual::text', "''")}
FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'`

/** Rules, and what REFRESH of a materialized view runs. */
export const RULES = `
SELECT ev_class::text AS relation, CASE WHEN ev_type = '1' THEN '3' ELSE ev_type::text END AS event,
  ${references("concat(ev_qual::text, ' ', ev_action::text)")} AS tree,
  ${shown("concat(ev_qual::text, ' ', ev_action::text)", 'pg_get_ruledef(r.oid)')}
FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class WHERE ev_type <> '1' OR c.relkind = 'm'`

/** Only what may run other people's code: a table of plain columns has none. */
export function expressionsQuery(version: number): string {
  const statistics =
    version >= 140_000
      ? `UNION ALL SELECT stxrelid, 'statistics', stxexprs::text, pg_get_expr(stxexprs, stxrelid)
    FROM pg_statistic_ext WHERE stxexprs IS NOT NULL`
      : ''
  return `
SELECT x.relation::text AS relation, x.source, (x.source = 'default' AND EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = x.relation AND attgenerated = 'v'))::text AS virtual,
  ${references('x.tree')} AS tree, ${shown('x.tree', "'select ' || x.code")}
FROM (
  SELECT adrelid AS relation, 'default' AS source, adbin::text AS tree, pg_get_expr(adbin, adrelid) AS code FROM pg_attrdef
  UNION ALL SELECT conrelid, 'check', conbin::text, pg_get_expr(conbin, conrelid)
    FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0
  UNION ALL SELECT indrelid, 'index', concat(indexprs::text, ' ', indpred::text),
      concat_ws(', ', pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid))
    FROM pg_index WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
  UNION ALL SELECT polrelid, 'new row policy', polwithcheck::text, pg_get_expr(polwithcheck, polrelid)
    FROM pg_policy WHERE polwithcheck IS NOT NULL
  UNION ALL SELECT partrelid, 'partition key', partexprs::text, pg_get_expr(partexprs, partrelid)
    FROM pg_partitioned_table WHERE partexprs IS NOT NULL
  ${statistics}) x
WHERE x.tree ~ ${SESSION_CALLS}`
}

export const FOREIGN_KEYS = `
SELECT conrelid::text AS relation, confrelid::text AS referenced, confdeltype::text AS deletes,
  confupdtype::text AS updates
FROM pg_constraint WHERE contype = 'f'`

export const EVENT_TRIGGERS = `
SELECT evtfoid::oid::text AS function FROM pg_event_trigger
WHERE evtenabled <> 'D' AND evtevent <> 'login'`

/** Their operators only where no built-in family has them: the first family found is used. */
export const OPERATOR_CLASSES = `
SELECT c.oid::text AS oid, c.opcintype::text AS type, c.opcdefault::text AS default,
  (SELECT string_agg(DISTINCT p.amproc::oid::text, ' ') FROM pg_amproc p
    WHERE p.amprocfamily = c.opcfamily AND p.amproc::oid >= ${FIRST_USER_OID}) AS functions,
  (SELECT string_agg(DISTINCT o.amopopr::text, ' ') FROM pg_amop o
    WHERE o.amopfamily = c.opcfamily AND NOT EXISTS (SELECT FROM pg_amop b
      WHERE b.amopopr = o.amopopr AND b.amopfamily < ${FIRST_USER_OID})) AS operators
FROM pg_opclass c WHERE EXISTS (SELECT FROM pg_amproc p
  WHERE p.amprocfamily = c.opcfamily AND p.amproc::oid >= ${FIRST_USER_OID})`

export const CLASS_USES = `
SELECT DISTINCT i.indrelid::text AS relation, c::text AS class, '0' AS type
FROM pg_index i, unnest(i.indclass::oid[]) c WHERE c >= ${FIRST_USER_OID}
UNION ALL SELECT DISTINCT p.partrelid::text, c::text, '0'
FROM pg_partitioned_table p, unnest(p.partclass::oid[]) c WHERE c >= ${FIRST_USER_OID}
UNION ALL SELECT '0', rngsubopc::text, rngtypid::text FROM pg_range WHERE rngsubopc >= ${FIRST_USER_OID}`

export const HANDLERS = `
SELECT c.oid::text AS relation, a.amhandler::oid::text AS function
FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE a.amhandler::oid >= ${FIRST_USER_OID} AND c.relkind <> 'i'
UNION ALL SELECT i.indrelid::text, a.amhandler::oid::text
FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
WHERE a.amhandler::oid >= ${FIRST_USER_OID}
UNION ALL SELECT t.ftrelid::text, w.fdwhandler::text
FROM pg_foreign_table t JOIN pg_foreign_server s ON s.oid = t.ftserver
JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
UNION ALL SELECT '0', f::text FROM pg_ts_template t,
  unnest(ARRAY[tmplinit::oid, tmpllexize::oid]) f WHERE f >= ${FIRST_USER_OID}
UNION ALL SELECT '0', f::text FROM pg_ts_parser p,
  unnest(ARRAY[prsstart::oid, prstoken::oid, prsend::oid, prsheadline::oid, prslextype::oid]) f
  WHERE f >= ${FIRST_USER_OID}
UNION ALL SELECT '0', conproc::oid::text FROM pg_conversion
  WHERE condefault AND conproc::oid >= ${FIRST_USER_OID}`

/** Parameters that a session can't set: their values are the node's own. */
export const NODE_PARAMETERS = `
SELECT lower(name) AS name FROM pg_settings WHERE context NOT IN ('user', 'superuser')`
