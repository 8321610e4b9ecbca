/** One write session and one read session of the in-process door, on whatever runs this file. */
import { sql } from 'drizzle-orm'
import { createSessions } from '../../src/drizzle/index.ts'
import { createSessions as createJsSessions } from '../../src/drizzle/postgres-js/index.ts'

const [driver, primary = '', ...replicas] = process.argv.slice(2)
const options = { primary, replicas, failover: { holdWrites: '20s' } }
const sessions = driver === 'pg' ? createSessions(options) : createJsSessions(options)
const isEncrypted = sql`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`
const written = await sessions.getSession(true).execute(sql`SELECT 1 AS one`)
const read = await sessions.getSession(true).execute(isEncrypted)
const replica = await sessions.getSession().execute(sql`SELECT 2 AS two`)
console.log(
  JSON.stringify(
    [written, read, replica].map((result) => [...('rows' in result ? result.rows : result)]),
  ),
)
await sessions.close()
