import { randomBytes } from 'node:crypto'
import { Command } from 'commander'
import { defaultMonitorRole, lookupFunction, monitorSql } from '../auth/role-sql.ts'
import { deriveScramKeys } from '../auth/scram-keys.ts'
import { formatScramVerifier } from '../auth/stored-secret.ts'
import type { NodeConfig } from '../config/config.ts'
import { configFromFlags } from '../config/config-from-flags.ts'
import { ConfigError } from '../errors.ts'
import { connectNode } from '../node-client.ts'
import type { CommandIo } from './command-io.ts'

const timeouts = { connectTimeoutMs: 5_000, statementTimeoutMs: 30_000 }

interface SetupFlags {
  readonly primary?: string
  readonly monitor: string
  readonly run?: true
}

/** `pgsplit setup`: what the monitor needs at the primary, as SQL or done. */
export function setupCommand(io: CommandIo): Command {
  return new Command('setup')
    .description("print the SQL that makes the monitor's role and its look-up function, or run it")
    .option('--primary <url>', 'with --run: the primary, as a superuser, and the database to use')
    .option('--monitor <role>', "the monitor's role", defaultMonitorRole)
    .option('--run', 'run it there; the password is that of $MONITOR_PASSWORD, or a new one')
    .action(async (flags: SetupFlags) => {
      const given = io.env.MONITOR_PASSWORD || null
      const role = flags.monitor
      if (flags.run === undefined) {
        const password = given === null ? 'secret' : await verifierOf(given)
        io.print(monitorSql({ role, password }).trimEnd())
        return
      }
      if (flags.primary === undefined) {
        throw new ConfigError(
          '--run',
          'needs --primary postgres://superuser:password@host/postgres',
        )
      }
      const [node] = configFromFlags({ primary: flags.primary }, { env: io.env }).clusters.flatMap(
        ({ nodes }) => nodes,
      )
      if (node === undefined) throw new Error('unreachable: --primary is a node')
      const made = given ?? randomBytes(18).toString('base64url')
      const isNew = await setUp(node, role, await verifierOf(made))
      const { host, port, login } = node
      io.print(
        isNew
          ? `role ${role} is made, and may look up roles by ${lookupFunction} in database ${login.database}`
          : `role ${role} was there and keeps its password; it may look up roles by ${lookupFunction} in database ${login.database}`,
      )
      if (isNew && given === null) io.print(`its password, shown only now: ${made}`)
      const secret = `\${MONITOR_PASSWORD}`
      io.print(
        `next: MONITOR_PASSWORD=… pgsplit init --primary 'postgres://${role}:${secret}@${host}:${port}/${login.database}'`,
      )
    })
}

/** What the server stores: the password itself would stand in its log. */
async function verifierOf(password: string): Promise<string> {
  return formatScramVerifier(await deriveScramKeys(password, randomBytes(16), 4096))
}

/** Gives whether the role was made. */
async function setUp(node: NodeConfig, role: string, verifier: string): Promise<boolean> {
  const client = await connectNode(node, timeouts)
  try {
    const { rows } = await client.query(
      `SELECT pg_is_in_recovery()::text AS standby, current_setting('is_superuser') AS superuser,
        EXISTS (SELECT FROM pg_roles WHERE rolname = $1)::text AS exists`,
      [role],
    )
    const [row] = rows
    if (row?.standby === 'true') {
      throw new ConfigError('--primary', 'this is a standby; give the URL of the primary')
    }
    if (row?.superuser !== 'on') {
      throw new ConfigError(
        '--primary',
        `${node.login.user} is no superuser, so that a function of its could not read passwords; where there is none to be had (managed services), make the role by hand, GRANT pg_monitor to it, and list users under auth.users`,
      )
    }
    await client.ask(monitorSql({ role, password: verifier }))
    return row.exists !== 'true'
  } finally {
    client.end()
  }
}
