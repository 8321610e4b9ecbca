import { setTimeout as sleep } from 'node:timers/promises'
import type { Contestant } from './contestant.ts'
import { residentBytes } from './process-tree.ts'
import { RawClient } from './raw-client.ts'

/** Logins under way at a time: what stays within everybody's limits of unauthenticated clients. */
const loginsAtATime = 50
const settleMs = 2000

/**
 * Resident bytes per client that has logged in and idles. A tenth as many have come and gone
 * before, so that what is made once is not counted. Null for what cannot take as many.
 */
export async function measureIdleClients(
  contestant: Contestant,
  count: number,
): Promise<number | null> {
  const { pid } = contestant
  if (pid === null || contestant.maxClients < count) return null
  for (const client of await logIn(contestant, Math.ceil(count / 10))) client.end()
  await sleep(settleMs)
  const before = residentBytes(pid)
  const clients = await logIn(contestant, count)
  try {
    await sleep(settleMs)
    if (clients.some(({ socket }) => socket.destroyed)) throw new Error('idle clients were dropped')
    return (residentBytes(pid) - before) / count
  } finally {
    for (const client of clients) client.end()
  }
}

async function logIn(contestant: Contestant, count: number): Promise<RawClient[]> {
  const clients: RawClient[] = []
  const database = contestant.database('simple')
  while (clients.length < count) {
    const batch = Math.min(loginsAtATime, count - clients.length)
    const logins = Array.from({ length: batch }, () => RawClient.connect(contestant.port, database))
    const settled = await Promise.allSettled(logins)
    for (const login of settled) if (login.status === 'fulfilled') clients.push(login.value)
    const failed = settled.find((login) => login.status === 'rejected')
    if (failed !== undefined) {
      for (const client of clients) client.end()
      throw new Error(`login ${clients.length + 1} of ${count} failed`, { cause: failed.reason })
    }
  }
  return clients
}
