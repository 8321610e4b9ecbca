import type { RawClient, RawMessage } from './raw-client.ts'
import type { Random } from './seeded-numbers.ts'
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
 * Says the frames in chunks of any size, and waits where they say so; what was heard, as `shape` shows
 * it. A test of protocol conversations that are made up, and held twice.
 */
export async function holdFrames(
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
