/** Words of `pgsplit_login_failures_total`, by SQLSTATE, or by its class of two characters. */
const causes: ReadonlyMap<string, string> = new Map([
  ['28P01', 'password'],
  ['28', 'not_allowed'],
  ['42501', 'not_allowed'],
  ['3D', 'no_such_database'],
  ['53', 'too_many'],
  ['57014', 'timeout'],
  ['57', 'not_available'],
  ['08', 'connection'],
  ['internal', 'internal'],
])

/** One of a few words for why a log-in came to nothing. */
export function causeOf(sqlstate: string): string {
  return causes.get(sqlstate) ?? causes.get(sqlstate.slice(0, 2)) ?? 'other'
}
