/** Words of PostgreSQL's grammar that the classifier must tell from names (`kwlist.h`). */

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}

/** Reserved: never a function, table or column name unless quoted or behind a dot or AS. */
export const RESERVED = words(`
  all analyse analyze and any array as asc asymmetric both case cast check collate column
  constraint create current_catalog current_date current_role current_time current_timestamp
  current_user default deferrable desc distinct do else end except false fetch for foreign from
  grant group having in initially intersect into lateral leading limit localtime localtimestamp
  not null offset on only or order placing primary references returning select session_user some
  symmetric system_user table then to trailing true union unique user using variadic when where
  window with`)

/** Function or type names only, besides their use as keywords: never a table or column. */
export const TYPE_OR_FUNCTION = words(`
  authorization binary collation concurrently cross current_schema freeze full ilike inner is
  isnull join left like natural notnull outer overlaps right similar tablesample verbose`)

/** Column names that can't be functions or types unless quoted. */
export const COLUMN_NAME = words(`
  between bigint bit boolean char character coalesce dec decimal exists extract float greatest
  grouping inout int integer interval json json_array json_arrayagg json_exists json_object
  json_objectagg json_query json_scalar json_serialize json_table json_value least merge_action
  national nchar none normalize nullif numeric out overlay position precision real row setof
  smallint substring time timestamp treat trim values varchar xmlattributes xmlconcat xmlelement
  xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`)

/**
 * Words that may stand in front of `(` without calling a function of that name: the special
 * forms of the grammar (they call immutable or stable built-ins) and clauses.
 */
export const SYNTAX_BEFORE_PARENTHESIS = words(`
  between bigint bit boolean char character coalesce dec decimal exists extract float greatest
  grouping int integer interval json json_array json_arrayagg json_exists json_object
  json_objectagg json_query json_scalar json_serialize json_table json_value least merge_action
  national nchar none normalize nullif numeric overlay position precision real row setof smallint
  substring time timestamp trim values varchar xmlattributes xmlconcat xmlelement xmlexists
  xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
  by columns content cube document escape filter first key keys materialized name next of
  operator ordinality over partition passing path range recursive repeatable rollup rows groups
  sets value varying within without zone year month day hour minute second
  ilike join like overlaps`)

/**
 * Unreserved words that could be taken for a table alias, so that `word f(x)` may be a call and
 * not an alias with a column list: a name directly behind one of them counts as called.
 */
export const WORDS_BEFORE_CALL = words(`
  by escape first next of over preceding following recursive value values key path columns
  between at zone uescape passing content document json_table xmltable ordinality symmetric
  operator set materialized lateral any nulls last ties local like ilike similar is isnull notnull
  natural join cross inner left right full outer overlaps verbose`)
