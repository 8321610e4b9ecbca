/** postgres.js through pgsplit: nothing but the connection string is said. */
import postgres from 'postgres'

const sql = postgres(process.env.DATABASE_URL ?? '', { onnotice: () => {} })

const routeOf = async (session: postgres.ISql): Promise<string> => {
  const [row] = await session`SHOW pgsplit.last_route`
  return row?.['pgsplit.last_route']
}

// A reserved connection is one session: it sees its own writes.
const session = await sql.reserve()
const [order] = await session`
  INSERT INTO orders (account_id, item, total) VALUES (2, 'coffee', 3) RETURNING id`
console.log('insert:   ', await routeOf(session))
const found = await session`SELECT item FROM orders WHERE id = ${order?.id}`
console.log('own order:', found[0]?.item, await routeOf(session))
session.release()

// A transaction runs on the primary, `read only` on one replica as a whole.
await sql.begin(async (tx) => {
  await tx`UPDATE accounts SET balance = balance - 3 WHERE id = 2`
  console.log('begin:    ', await routeOf(tx))
})
await sql.begin('read only', async (tx) => {
  const [total] = await tx`SELECT sum(total) AS sum FROM orders`
  console.log('read only:', total?.sum, await routeOf(tx))
})

// postgres.js sends these without waiting for one another; pgsplit spreads them.
const reads = Array.from(
  { length: 20 },
  (_, n) => sql`SELECT owner FROM accounts WHERE id = ${n + 1}`,
)
console.log('owners:   ', (await Promise.all(reads)).length)
await sql.end()
