const unnamed =
  'Of several unnamed Parse messages in a segment that fails, pgsplit keeps none; PostgreSQL keeps the last one before the failure.'

/** Where pgsplit answers otherwise than PostgreSQL, and why. By conversation. */
export const knownDifferences: Readonly<Record<string, string>> = {
  'segment in a block: a failed block ended': unnamed,
  'segment, then its leftovers: a failed block ended': unnamed,
  'segment, then its leftovers: BEGIN alone, described':
    'The portal of a deferred BEGIN is not on the server that runs the rest.',
  'DDL under a prepared statement':
    'Of a statement that no server connection had, pgsplit itself says that its result type has changed: without the line of PostgreSQL’s source.',
  sequences:
    'The first session of an application that asks for currval() behind its transaction may hear 55000; sessions are pinned at nextval() from then on.',
}
