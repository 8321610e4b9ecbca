const unnamed =
  'Of several unnamed Parse messages in a segment that fails, pgsplit keeps none; PostgreSQL keeps the last one before the failure.'
const sqlExecute =
  'SQL EXECUTE of a name that a Parse message has given: the server knows it by another.'

/** Where pgsplit answers otherwise than PostgreSQL, and why. By conversation. */
export const knownDifferences: Readonly<Record<string, string>> = {
  'segment in a block: a failed block ended': unnamed,
  'segment, then its leftovers: a failed block ended': unnamed,
  'segment: SQL EXECUTE of a parsed name': sqlExecute,
  'segment, then its leftovers: SQL EXECUTE of a parsed name': sqlExecute,
  'segment, then its leftovers: BEGIN alone, described':
    'The portal of a deferred BEGIN is not on the server that runs the rest.',
  'names in pg_prepared_statements': 'Servers know prepared statements by names of pgsplit.',
  'DDL under a prepared statement':
    'Prepared statements are prepared anew after DDL, so "cached plan must not change result type" is not seen.',
  sequences:
    'The first session of an application that asks for currval() behind its transaction may hear 55000; sessions are pinned at nextval() from then on.',
}
