/**
 * A small HTTP API on Fastify and Drizzle: writes on the primary, reads on the replicas, and every
 * user sees what he wrote a request ago. Plays a tour against itself and ends; with `--serve` it goes
 * on serving.
 */
import { randomBytes } from 'node:crypto'
import { eq, sql } from 'drizzle-orm'
import Fastify from 'fastify'
import { createSessions } from '../../src/drizzle/index.ts'
import { accounts, orders, schema } from './schema.ts'
import { playTour } from './tour.ts'

const { PRIMARY_URL = '', REPLICA_URLS = '', MONITOR_USER, MONITOR_PASSWORD } = process.env

const sessions = createSessions({
  primary: { name: 'primary', url: PRIMARY_URL },
  replicas: REPLICA_URLS.split(' ').map((url, i) => ({ name: `r${i + 1}`, url })),
  monitor: { user: MONITOR_USER, password: MONITOR_PASSWORD },
  schema,
})

const accountId = { type: 'object', properties: { id: { type: 'integer' } } }
const app = Fastify()
app.register(
  sessions.middleware({
    // In earnest the secret comes from where secrets are kept, and `secure` stays true.
    cookie: { secret: randomBytes(32).toString('hex'), secure: false },
  }),
)

app.post<{ Params: { id: number }; Body: { item: string; total: number } }>(
  '/accounts/:id/orders',
  {
    schema: {
      params: accountId,
      body: {
        type: 'object',
        required: ['item', 'total'],
        properties: { item: { type: 'string' }, total: { type: 'number', minimum: 0 } },
      },
    },
  },
  async ({ params, body }, reply) => {
    const total = body.total.toFixed(2)
    const order = await sessions.getSession(true).transaction(async (tx) => {
      await tx
        .update(accounts)
        .set({ balance: sql`${accounts.balance} - ${total}::numeric` })
        .where(eq(accounts.id, params.id))
      const values = { accountId: params.id, item: body.item, total }
      const [made] = await tx.insert(orders).values(values).returning()
      return made
    })
    return reply.code(201).send(order)
  },
)

app.get<{ Params: { id: number } }>(
  '/accounts/:id',
  { schema: { params: accountId } },
  async ({ params }, reply) => {
    const account = await sessions.getSession().query.accounts.findFirst({
      where: eq(accounts.id, params.id),
      with: { orders: true },
    })
    return account ?? reply.code(404).send({ error: 'no such account' })
  },
)

app.get('/status', async () => sessions.snapshot())

await sessions.ready
const mayServe = process.argv.includes('--serve')
const url = await app.listen({ host: '127.0.0.1', port: mayServe ? 3000 : 0 })
try {
  await playTour(url, sessions)
  if (mayServe) {
    console.log(`\n${url}/status tells what each node does; Ctrl-C ends.`)
    await new Promise((resolve) => process.once('SIGINT', resolve))
  }
} finally {
  await app.close()
  await sessions.close()
}
