import { RawClient, type RawMessage } from './raw-client.ts'
import { type Random, seededNumbers } from './seeded-numbers.ts'
import { waitFor } from './wait-for.ts'

/** One message, as it is said to PostgreSQL and to pgsplit. */
export interface Said {
  readonly shown: string
  readonly direct: Buffer
  readonly proxied: Buffer
  /** Waits for the answers to all of it. */
  readonly waits: boolean
}

/**
 * Holds one side of a conversation that was made up, over a connection of its own, and says it in chunks
 * of any size (by `seed`, so that both sides are cut alike). What was heard, as `shape` shows it; a line
 * with `!` where it broke off.
 */
export async function holdConversation(
  login: Parameters<typeof RawClient.logIn>[0],
  said: readonly Said[],
  side: 'direct' | 'proxied',
  seed: number,
  shape: (message: RawMessage) => string,
): Promise<string[]> {
  const client = await RawClient.logIn(login)
  const frames = said.map((one): [Buffer, boolean] => [one[side], one.waits])
  try {
    return await holdFrames(client, frames, seededNumbers(seed), shape)
  } catch (error) {
    return [`! ${error}`]
  } finally {
    client.end()
  }
}

/** Says the frames, and waits where they say so; what was heard. */
async function holdFrames(
  client: RawClient,
  frames: readonly [Buffer, boolean][],
  random: Random,
  shape: (message: RawMessage) => string,
): Promise<string[]> {
  const heard: string[] = []
  let pending = Buffer.alloc(0)
  let syncs = 0
  /** Messages behind the last Sync. */
  let asked = 0
  const send = async (): Promise<void> => {
    for (let at = 0; at < pending.length; ) {
      const size = random(3) === 0 ? 1 + random(12) : pending.length
      client.send(pending.subarray(at, at + size))
      at += size
      await new Promise((resolve) => setImmediate(resolve))
    }
    pending = Buffer.alloc(0)
  }
  for (const [frame, waits] of frames) {
    pending = Buffer.concat([pending, frame])
    const type = frame[0]
    const isSync = type === 0x53 || type === 0x51
    if (isSync) {
      syncs++
      asked = 0
    } else if (type !== 0x48) asked++
    if (!waits) continue
    await send()
    if (isSync) for (; syncs > 0; syncs--) heard.push(...(await client.until('Z')).map(shape))
    else if (syncs === 0) {
      const isAnswered = (): boolean =>
        client.types.includes('E') || client.types.replace(/[^123TnCIs]/g, '').length >= asked
      await waitFor('what was flushed', isAnswered, 5_000)
    }
  }
  const isAsked = (line: string): boolean => !line.startsWith('S ')
  return heard.filter(isAsked)
}
