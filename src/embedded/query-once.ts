import type pg from 'pg'
import { loadPg } from './load-pg.ts'

/** Runs one statement on a connection of its own. Rejects with pg's errors. */
export async function queryOnce(
  where: pg.ClientConfig,
  text: string,
  values: readonly unknown[],
): Promise<Record<string, unknown>[]> {
  const { Client } = await loadPg()
  const client = new Client({ ...where, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, unknown>>(text, [...values])
    return rows
  } finally {
    await client.end().catch(() => {})
  }
}
