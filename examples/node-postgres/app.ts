/** node-postgres through pgsplit: nothing but the connection string is said. */
import pg from 'pg'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })

const routeOf = async (client: pg.ClientBase): Promise<string> =>
  (await client.query('SHOW pgsplit.last_route')).rows[0]['pgsplit.last_route']

// One client is one session: it sees its own writes.
const client = await pool.connect()
await client.query('INSERT INTO orders (account_id, item, total) VALUES ($1, $2, $3)', [
  1,
  'tea',
  4,
])
console.log('insert:   ', await routeOf(client))
const mine = await client.query('SELECT count(*)::int AS n FROM orders WHERE account_id = $1', [1])
console.log('own orders:', mine.rows[0].n, await routeOf(client))

// A transaction runs on the primary, unless it says READ ONLY.
await client.query('BEGIN')
await client.query('UPDATE accounts SET balance = balance - 4 WHERE id = 1')
await client.query('COMMIT')
await client.query('BEGIN READ ONLY')
await client.query('SELECT sum(balance) FROM accounts')
console.log('read only: ', await routeOf(client))
await client.query('COMMIT')

// pool.query() takes any client of the pool. Where one request's read must see an earlier write,
// the token of the session that wrote goes to the session that reads.
const { rows } = await client.query('SHOW pgsplit.causal_token')
client.release()
const other = await pool.connect()
await other.query(`SELECT set_config('pgsplit.causal_token', $1, false)`, [
  rows[0]['pgsplit.causal_token'],
])
const seen = await other.query('SELECT balance FROM accounts WHERE id = $1', [1])
console.log('balance:   ', seen.rows[0].balance, await routeOf(other))
other.release()

// What nobody waits for may come from any replica: reads without a history are spread.
const reads = Array.from({ length: 20 }, (_, n) =>
  pool.query('SELECT owner FROM accounts WHERE id = $1', [n + 1]),
)
console.log('owners:    ', (await Promise.all(reads)).length)
await pool.end()
