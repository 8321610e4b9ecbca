import { firstHbaMatch, type HbaRule, hbaSql, parseHbaRules } from '../auth/hba-file.ts'
import type { NodeConfig } from '../config/config.ts'
import { PgSplitError } from '../errors.ts'
import { connectNode, type NodeClientOptions } from '../node-client.ts'
import { redact } from '../redact.ts'

type NodeSession = Awaited<ReturnType<typeof connectNode>>

/** A node's pg_hba.conf, and how pgsplit comes there. */
export interface NodeHba {
  readonly rules: readonly HbaRule[]
  /** pgsplit's own, as the node sees it. */
  readonly address: string
  readonly isTls: boolean
}

/** null: the monitor may not read it, or it has a mistake. */
export async function readHba(client: NodeSession): Promise<NodeHba | null> {
  try {
    const [row] = (await client.query(hbaSql)).rows
    const [over] = (await client.query(tlsSql)).rows
    const rules = parseHbaRules(row?.rules ?? '')
    const address = row?.own_address ?? null
    return rules === null || address === null ? null : { rules, address, isTls: over?.ssl === 't' }
  } catch (error) {
    if (error instanceof PgSplitError && error.sqlstate === '42501') return null
    throw error
  }
}

const tlsSql = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'

/** Stands for every name that no line names. */
const others = ' '
/** Longest list of them. */
const mostShown = 3

/**
 * Who may come to the primary and not to this replica, as their files say: reads of theirs never run
 * there. null: nobody, as far as can be told.
 */
export function hbaObstacle(primary: NodeHba, replica: NodeHba): string | null {
  const users = names(primary, replica, ({ users: named }) => named)
  const databases = names(primary, replica, ({ databases: named }) => named)
  const refused = users.flatMap((user) => {
    const where = databases.filter(
      (database) => admits(primary, user, database) && refuses(replica, user, database),
    )
    if (where.length === 0) return []
    const who = user === others ? 'users without a line of their own' : `user ${user}`
    const isEverywhere = where.length === databases.length || where.includes(others)
    return [isEverywhere ? who : `${who} at database ${where.join(', ')}`]
  })
  if (refused.length === 0) return null
  const more = refused.length > mostShown ? ` and ${refused.length - mostShown} more` : ''
  const who = refused.slice(0, mostShown).join('; ') + more
  return `its pg_hba.conf refuses whom the primary's admits (${who}); reads of theirs run elsewhere until it has the primary's lines`
}

/** Names of either file, and one that is in neither. */
function names(
  a: NodeHba,
  b: NodeHba,
  of: (rule: HbaRule) => readonly string[],
): readonly string[] {
  const plain = [...a.rules, ...b.rules].flatMap(of).filter((name) => !isWord(name))
  return [...new Set([...plain, others])]
}

function isWord(name: string): boolean {
  return /^[/+]|^(all|sameuser|samerole|samegroup|replication)$/.test(name)
}

function lineFor({ rules, address, isTls }: NodeHba, user: string, database: string) {
  return firstHbaMatch(rules, { user, database, address, isTls, isPhysical: false })
}

function admits(hba: NodeHba, user: string, database: string): boolean {
  const line = lineFor(hba, user, database)
  return line !== null && line !== 'unknown' && line.method !== 'reject'
}

function refuses(hba: NodeHba, user: string, database: string): boolean {
  const line = lineFor(hba, user, database)
  return line === null || (line !== 'unknown' && line.method === 'reject')
}

/** Databases whose log-in triggers are tried. */
const mostDatabases = 20

/**
 * What log-in triggers (17 and later) say to the monitor on a replica, where none of them can write;
 * one clause for each database.
 */
export async function triggerObstacles(
  client: NodeSession,
  node: NodeConfig,
  options: NodeClientOptions,
): Promise<readonly string[]> {
  const found: string[] = []
  // Before 17 nobody knows the column; a row as JSON may lack it.
  for (const { datname } of (await client.query(triggersSql)).rows) {
    const database = datname ?? ''
    try {
      const entered = await connectNode(node, { ...options, database })
      entered.end()
    } catch (error) {
      if (error instanceof PgSplitError && isSaidByTrigger(error)) {
        const why = redact(`${error.sqlstate}: ${error.message}`)
        found.push(
          `log-ins at its database ${database} fail in a log-in trigger (${why}); reads there run elsewhere until it does nothing where pg_is_in_recovery()`,
        )
      }
    }
  }
  return found
}

const triggersSql = `SELECT datname FROM pg_database d
  WHERE datallowconn AND (to_jsonb(d) ->> 'dathasloginevt')::bool ORDER BY datname LIMIT ${mostDatabases}`

/** That the monitor itself may not connect there says nothing of others. */
function isSaidByTrigger({ sqlstate, message }: PgSplitError): boolean {
  return !/^(08|42501|53|57P|3D)/.test(sqlstate) && !message.includes('pg_hba.conf')
}
