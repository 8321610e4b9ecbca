import { setTimeout as sleep } from 'node:timers/promises'
import type { DoorSnapshot } from '../../src/drizzle/index.ts'

interface Watched {
  snapshot(): DoorSnapshot
}

/** Who asks: a browser with its cookies. */
class User {
  readonly name: string
  readonly #url: string
  readonly #cookies = new Map<string, string>()

  constructor(name: string, url: string) {
    this.name = name
    this.#url = url
  }

  async ask(path: string, body?: object): Promise<Response> {
    const cookie = [...this.#cookies].map((pair) => pair.join('=')).join('; ')
    const response = await fetch(this.#url + path, {
      headers: { cookie, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    })
    for (const text of response.headers.getSetCookie()) {
      const [pair = ''] = text.split(';')
      const equals = pair.indexOf('=')
      this.#cookies.set(pair.slice(0, equals), pair.slice(equals + 1))
    }
    return response
  }
}

/** Two users and one account: who sees what, and which node has served it. */
export async function playTour(url: string, sessions: Watched): Promise<void> {
  const anna = new User('anna', url)
  const ben = new User('ben', url)
  const say = async (what: string, ask: () => Promise<string>): Promise<string> => {
    const before = sessions.snapshot()
    const answer = await ask()
    const node = servedBetween(before, sessions.snapshot())
    console.log(`${`${what}:`.padEnd(18)}${answer.padEnd(10)} ${node}`)
    return node
  }
  const look = async (user: User): Promise<string> => {
    const account = (await (await user.ask('/accounts/1')).json()) as { orders: unknown[] }
    return `${account.orders.length} orders`
  }
  await say('anna orders tea', async () => {
    const response = await anna.ask('/accounts/1/orders', { item: 'tea', total: 4 })
    await response.body?.cancel()
    return String(response.status)
  })
  // She sees it, wherever it is read; ben has no history, and does not wait for hers.
  await say('anna looks', () => look(anna))
  await say('ben looks', () => look(ben))
  // When a replica has her order, her reads are its, too.
  for (let tries = 0; tries < 50; tries++) {
    if ((await say('anna looks again', () => look(anna))) !== 'primary') break
    await sleep(100)
  }
}

/** The node that has done something meanwhile. */
function servedBetween(before: DoorSnapshot, after: DoorSnapshot): string {
  const busy = after.nodes.filter(
    ({ name, requests }) => requests > (before.nodes.find((n) => n.name === name)?.requests ?? 0),
  )
  return busy.map(({ name }) => name).join(', ')
}
