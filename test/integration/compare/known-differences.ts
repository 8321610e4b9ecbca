/** Where pgsplit answers otherwise than PostgreSQL, and why. By conversation. */
export const knownDifferences: Readonly<Record<string, string>> = {
  'segment, then its leftovers: BEGIN alone, described':
    'BEGIN is answered before a server has it, so its spent portal is nowhere: to execute it again is an error with both, of another SQLSTATE.',
  'DDL under a prepared statement':
    'Of a statement that no server connection had, pgsplit itself says that its result type has changed: without the line of PostgreSQL’s source, which varies with the version.',
  sequences:
    'Where somebody else has written on the connection between nextval() and currval(), the value may be his: the first session that asks hears 55000 rather than a wrong number, and sessions are pinned at nextval() from then on, until no session has done so for ten minutes.',
}
