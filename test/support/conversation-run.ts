import type { Conversation } from './conversation.ts'
import { message, RawClient, type RawLogin, type RawMessage } from './raw-client.ts'

/** What the clients of one conversation have heard, readable and byte-true. */
export type Transcript = readonly string[]

/** Holds a conversation with the server at `login.port`; what was not heard in time is in it, too. */
export async function hold(talk: Conversation, login: RawLogin): Promise<Transcript> {
  const clients: RawClient[] = []
  const heard: string[] = []
  const note = (index: number, messages: readonly RawMessage[]): void => {
    const mark = index === 0 ? '' : `${index}:`
    for (const one of messages) heard.push(mark + textOf(one, talk))
  }
  try {
    for (const { client: index, frames, until, count } of talk.turns) {
      const client = await clientAt(clients, index, talk, login, heard)
      client.send(...frames)
      for (let left = count; left > 0; left--) note(index, await client.until(until))
    }
    if (talk.endsItself === true) {
      for (const [index, client] of clients.entries()) note(index, await client.rest())
      return heard
    }
    // Nothing more may come behind this, nor be missing in front of it.
    for (const [index, client] of clients.entries()) note(index, await client.query(endMark))
  } catch (error) {
    heard.push(`! ${error instanceof Error ? error.message : error}`)
  } finally {
    for (const client of clients) {
      client.send(message('X'))
      const late = await client.until('\0', 5_000).catch((error: Error) => error.message)
      if (!String(late).startsWith('closed before message')) heard.push(`! after X: ${late}`)
      client.end()
    }
  }
  return heard
}

/** Empty, so that it changes nothing and is answered in a failed transaction, too. */
const endMark = ''

async function clientAt(
  clients: RawClient[],
  index: number,
  { parameters }: Conversation,
  login: RawLogin,
  heard: string[],
): Promise<RawClient> {
  const known = clients[index]
  if (known !== undefined) return known
  const client = await RawClient.logIn({ ...login, parameters: parameters ?? {} })
  clients[index] = client
  const reported = [...client.login.parameters].map(([name, value]) => `${name}=${value}`)
  heard.push(`${index} start ${reported.sort().join(' ')}`)
  return client
}

function textOf({ type, body }: RawMessage, talk: Conversation): string {
  let bytes = body
  if (type === 'A') bytes = body.subarray(4)
  if (type === 'T' && talk.hasNewTables === true) bytes = withoutTableOids(body)
  let text = bytes.toString('latin1').replace(/[\0-\x1f\x7f-\xff]/g, escaped)
  for (const mask of talk.masks ?? []) text = text.replaceAll(mask, '~')
  return `${type} ${text}`
}

function escaped(char: string): string {
  return `\\${char.charCodeAt(0).toString(16).padStart(2, '0')}`
}

function withoutTableOids(body: Buffer): Buffer {
  const bytes = Buffer.from(body)
  let at = 2
  for (let left = bytes.readUInt16BE(0); left > 0; left--) {
    at = bytes.indexOf(0, at) + 1
    bytes.writeUInt32BE(0, at)
    at += 18
  }
  return bytes
}
