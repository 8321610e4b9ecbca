/**
 * One of several processes of an application, each with a connection of its own. Its parent sends
 * `{ write: id }` or `{ read: id }`, and hears `true` when that is done, or whether the row is there.
 */
import pg from 'pg'

const client = new pg.Client({ connectionString: process.env.PGSPLIT_TEST_URL ?? '' })
await client.connect()
process.on('message', async ({ write, read }: { write?: number; read?: number }) => {
  try {
    if (write !== undefined) {
      await client.query('INSERT INTO pooled (id) VALUES ($1)', [write])
      process.send?.(true)
    } else {
      const { rows } = await client.query(`SELECT id FROM pooled WHERE id = ${Number(read)}`)
      process.send?.(rows.length === 1)
    }
  } catch (error) {
    process.send?.(String(error))
  }
})
process.on('disconnect', () => process.exit())
process.send?.('ready')
