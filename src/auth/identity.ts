import { PgSplitError } from '../errors.ts'

/** Who wants in where, by name: the role is the one that logs in at the servers. */
export interface Wanted {
  readonly role: string
  readonly database: string
}

interface RoleFacts {
  readonly oid: number
  readonly isSuperuser: boolean
  readonly canLogin: boolean
  /** `rolconnlimit`; -1 = none. */
  readonly connectionLimit: number
  /** `rolpassword`, if it may be read and has not expired. */
  readonly password: string | null
  /** `rolvaliduntil` has passed. */
  readonly isExpired: boolean
}

interface DatabaseFacts {
  readonly oid: number
  readonly allowsConnections: boolean
  /** `datconnlimit`; -1 = none, -2 = a DROP DATABASE was interrupted. */
  readonly connectionLimit: number
  /** The role has the CONNECT privilege. */
  readonly mayConnect: boolean
  /** It has event triggers on log-in, or had (`dathasloginevt`, from 17 on). */
  readonly hasLoginTrigger: boolean
}

/** What the cluster says of a role and a database: who they are, and whether the one may enter the other. */
export interface Identity {
  readonly role: RoleFacts | null
  readonly database: DatabaseFacts | null
  /** Equal as long as connections of this role to this database are the same; '' without both. */
  readonly digest: string
  /** The primary has said so, not a standby, which may be behind. */
  readonly isCurrent: boolean
  /** When the server that was asked has read its configuration. */
  readonly configuredAt: string
  /** When the question left, monotonic ms. */
  readonly askedAtMs: number
}

/**
 * Why PostgreSQL would refuse this log-in behind the authentication (postinit.c, `InitPostgres` and
 * `CheckMyDatabase`), in its order and its words; null: it would not. Limits of connections count
 * server connections, which the servers do themselves; only a limit of 0 is told here.
 */
export function admissionRefusal(identity: Identity, wanted: Wanted): PgSplitError | null {
  return roleRefusal(identity, wanted) ?? databaseRefusal(identity, wanted)
}

/** The part of it that is about the role alone. */
function roleRefusal({ role }: Identity, wanted: Wanted): PgSplitError | null {
  const name = wanted.role
  if (role === null) return fatal('28000', `role "${name}" does not exist`)
  if (!role.canLogin) return fatal('28000', `role "${name}" is not permitted to log in`)
  if (role.connectionLimit === 0 && !role.isSuperuser) {
    return fatal('53300', `too many connections for role "${name}"`)
  }
  return null
}

function databaseRefusal({ role, database }: Identity, wanted: Wanted): PgSplitError | null {
  const name = wanted.database
  const isSuperuser = role?.isSuperuser === true
  if (database === null) return fatal('3D000', `database "${name}" does not exist`)
  if (database.connectionLimit === -2) {
    return fatal('55000', `cannot connect to invalid database "${name}"`, {
      hint: 'Use DROP DATABASE to drop invalid databases.',
    })
  }
  if (!database.allowsConnections) {
    return fatal('55000', `database "${name}" is not currently accepting connections`)
  }
  if (!database.mayConnect) {
    return fatal('42501', `permission denied for database "${name}"`, {
      detail: 'User does not have CONNECT privilege.',
    })
  }
  if (database.connectionLimit === 0 && !isSuperuser) {
    return fatal('53300', `too many connections for database "${name}"`)
  }
  return null
}

function fatal(
  sqlstate: string,
  message: string,
  more: { readonly detail?: string; readonly hint?: string } = {},
): PgSplitError {
  return new PgSplitError({ sqlstate, message, severity: 'FATAL', ...more })
}

/** Columns as text, by their names. */
type Row = Readonly<Record<string, string | null>>

/** Reads a row of `identitySql`, which was asked at `askedAtMs`. */
export function identityOf(row: Row, askedAtMs = 0): Identity {
  const is = (column: string): boolean => row[column] === 'true'
  const { role, database } = row
  return {
    role:
      role == null
        ? null
        : {
            oid: Number(role),
            isSuperuser: is('is_superuser'),
            canLogin: is('can_login'),
            connectionLimit: Number(row.role_limit),
            password: row.password ?? null,
            isExpired: is('is_expired'),
          },
    database:
      database == null
        ? null
        : {
            oid: Number(database),
            allowsConnections: is('allows_connections'),
            connectionLimit: Number(row.database_limit),
            mayConnect: is('may_connect'),
            hasLoginTrigger: is('has_login_trigger'),
          },
    digest: row.digest ?? '',
    isCurrent: row.standby === 'false',
    configuredAt: row.configured_at ?? '',
    askedAtMs,
  }
}
