import { decodeErrorFields } from '../../src/wire/error-fields.ts'
import {
  bind,
  describe,
  execute,
  message,
  parse,
  RawClient,
  type RawLogin,
  type RawMessage,
  sync,
} from './raw-client.ts'
import { oneOf, type Random } from './seeded-numbers.ts'

/** What one client says at once, and how many ReadyForQuery it waits for. */
export interface Step {
  readonly client: number
  readonly says: string
  readonly bytes: Buffer
  readonly ends: number
}

const long = 'c'.repeat(70)
const channels = ['a', 'B', '"B"', '"odd ""name"', long, 'a']
const listening =
  'SELECT count(*), string_agg(c, chr(10) ORDER BY c) FROM pg_listening_channels() c'

function statement(random: Random, isAlone: boolean): string {
  const channel = (): string => oneOf(random, channels)
  const made: readonly (() => string)[] = [
    () => `LISTEN ${channel()}`,
    () => `LISTEN ${channel()}`,
    () => `LISTEN ${channel()}`,
    () => `UNLISTEN ${channel()}`,
    () => 'UNLISTEN *',
    () => `NOTIFY ${channel()}`,
    () => `NOTIFY ${channel()}, 'p${random(3)}'`,
    () => `NOTIFY ${channel()}, 'p${random(3)}'`,
    () => `SELECT pg_notify('${oneOf(random, ['a', 'b', 'B'])}', 'f${random(3)}')`,
    () => 'SELECT 1',
    () => 'INSERT INTO event DEFAULT VALUES',
    () => 'SELECT 1/0',
    () => 'BEGIN',
    () => 'BEGIN',
    () => 'COMMIT',
    () => 'COMMIT',
    () => 'ROLLBACK',
    () => 'SAVEPOINT s',
    () => 'ROLLBACK TO s',
    () => 'RELEASE s',
    () => listening,
  ]
  const alone: readonly (() => string)[] = [
    () => `LISTEN ${channel()}; NOTIFY ${channel()}, 'x'`,
    () => `LISTEN ${channel()}; SELECT 1/0`,
    () => `BEGIN; LISTEN ${channel()}; COMMIT; SELECT 1/0`,
    () => `LISTEN ${channel()}; LISTEN ${channel()}; UNLISTEN ${channel()}`,
    () => `UNLISTEN *; LISTEN ${channel()}; SELECT 2`,
    () => `DO $$BEGIN LISTEN "a"; LISTEN b; END$$`,
    () => "DO $$BEGIN PERFORM pg_notify('a', 'done'); END$$",
    () => `BEGIN; SAVEPOINT s; LISTEN ${channel()}; ROLLBACK TO s; LISTEN a; COMMIT`,
    () => 'DISCARD ALL',
    () => '',
    () => `PREPARE TRANSACTION 'x'`,
  ]
  return oneOf(random, isAlone ? [...made, ...alone] : made)()
}

function extended(text: string): Buffer[] {
  return [parse('', text), bind('', ''), describe('P'), execute()]
}

/**
 * A server process that listens already hears, of a channel that it listens to from within a
 * transaction, also what was notified since that began. LISTEN does not promise it, and the hub can't
 * know it: nobody listens in a transaction that an earlier step has begun.
 */
class Blocks {
  readonly #open = new Set<number>()

  /** The step's texts as this client may say them. */
  fit(client: number, texts: readonly string[]): string[] {
    const isOpen = this.#open.has(client)
    return texts.map((text) => this.#fit(client, text, isOpen))
  }

  #fit(client: number, text: string, isOpen: boolean): string {
    const fitting = isOpen && /(?<!UN)LISTEN/.test(text) ? 'SELECT 1' : text
    for (const part of fitting.split(';')) {
      if (/^\s*BEGIN\b/.test(part)) this.#open.add(client)
      else if (/^\s*(COMMIT|ROLLBACK\b(?! TO)|PREPARE)/.test(part)) this.#open.delete(client)
    }
    return fitting
  }
}

/** A conversation of `clients` clients that listen and notify. */
export function notificationTalk(random: Random, clients: number, length: number): Step[] {
  const steps: Step[] = []
  const blocks = new Blocks()
  while (steps.length < length) {
    const client = random(clients)
    const form = random(8)
    if (form < 5) {
      const [says = ''] = blocks.fit(client, [statement(random, true)])
      steps.push({ client, says, bytes: message('Q', says), ends: 1 })
      continue
    }
    const made = Array.from({ length: form === 5 ? 1 : 3 }, () => statement(random, false))
    const texts = blocks.fit(client, made)
    const each = texts.map(extended)
    const isPipeline = form === 7
    const bytes = isPipeline
      ? Buffer.concat(each.flatMap((messages) => [...messages, sync]))
      : Buffer.concat([...each.flat(), sync])
    const says = texts.join(isPipeline ? ' | ' : ' , ')
    steps.push({ client, says, bytes, ends: isPipeline ? texts.length : 1 })
  }
  for (let client = 0; client < clients; client++) {
    for (const says of ['ROLLBACK', listening]) {
      steps.push({ client, says, bytes: message('Q', says), ends: 1 })
    }
  }
  return steps
}

/**
 * What each client hears, one line a step: first the notifications since its last step, which come
 * at any time in between, then the answer.
 */
export async function runTalk(login: RawLogin, clients: number, steps: readonly Step[]) {
  const all = await Promise.all(Array.from({ length: clients }, () => RawClient.logIn(login)))
  const names = new Map(all.map(({ login: { processId } }, i) => [processId, `client ${i}`]))
  const lines: string[] = []
  try {
    for (const { client, says, bytes, ends } of steps) {
      const speaker = all[client] as RawClient
      speaker.send(bytes)
      const heard: RawMessage[] = []
      for (let i = 0; i < ends; i++) heard.push(...(await speaker.until('Z', 10_000)))
      const news = heard.filter(({ type }) => type === 'A').map((one) => notification(one, names))
      const answer = heard.filter(({ type }) => type !== 'A' && type !== 'S').map(shown)
      lines.push(`client ${client}: ${says}\n    ${[...news, ...answer].join(' · ')}`)
    }
  } finally {
    for (const one of all) one.end()
  }
  return lines
}

function notification({ body }: RawMessage, names: ReadonlyMap<number, string>): string {
  const from = names.get(body.readInt32BE(0)) ?? 'somebody'
  return `[${body.toString('utf8', 4).replaceAll('\0', ' ').trim()} from ${from}]`
}

function shown({ type, body }: RawMessage): string {
  if (type === 'E' || type === 'N') {
    const { sqlstate, message: text } = decodeErrorFields(body, 0, body.length)
    return `${type} ${sqlstate} ${text}`
  }
  if (type === 'T') return 'T'
  return `${type} ${body
    .toString('latin1')
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()}`
}

/**
 * What a trigger or a DO block notifies is nobody's where two clients took turns at a server
 * process at that very moment: the sender is the right one, or not told.
 */
export function withKnownSenders(direct: readonly string[]): (line: string, i: number) => string {
  const hidden = /^(\s*\[a (?:event 0|done) from )somebody\]$/
  return (line, i) => {
    const expected = direct[i]?.split(' · ') ?? []
    const pieces = line.split(' · ').map((piece, at) => {
      const known = hidden.exec(piece.split('\n').at(-1) ?? '')?.[1]
      const wanted = expected[at] ?? ''
      return known !== undefined && wanted.split('\n').at(-1)?.startsWith(known) ? wanted : piece
    })
    return pieces.join(' · ')
  }
}
