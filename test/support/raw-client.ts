import { credential } from '../../src/auth/credential.ts'
import type { Link } from '../../src/net/link.ts'
import { connectServer, type ServerLogin } from '../../src/server/connect.ts'
import { Framer } from '../../src/wire/framer.ts'
import { Writer } from '../../src/wire/writer.ts'
import { endlessShare } from './endless-share.ts'

/** One message of a server: its type as a letter, and its body. */
export interface RawMessage {
  readonly type: string
  readonly body: Buffer
}

export interface RawLogin {
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  readonly parameters?: Readonly<Record<string, string>>
}

/** A client that says and hears single messages of the protocol. */
export class RawClient {
  readonly login: ServerLogin
  readonly #link: Link
  #messages: RawMessage[] = []
  #waiter: (() => void) | null = null
  isClosed = false
  #drops = false
  /** Bytes of rows and COPY data that were heard and not kept. */
  droppedBytes = 0

  private constructor(login: ServerLogin) {
    this.login = login
    this.#link = login.link
    const hear = (type: number, buffer: Buffer, start: number, end: number): void => {
      if (this.#drops && (type === 0x44 || type === 0x64)) {
        this.droppedBytes += end - start
        return
      }
      const body = Buffer.from(buffer.subarray(start + 5, end))
      this.#messages.push({ type: String.fromCharCode(type), body })
    }
    const isWhole = (type: number): boolean => !this.#drops || (type !== 0x44 && type !== 0x64)
    const framer = new Framer({ isWhole, onFrame: hear, onPart: hear }, 0x7fffffff)
    this.#link.onChunk = (chunk) => {
      framer.push(chunk, endlessShare)
      this.#waiter?.()
      return chunk.length
    }
    this.#link.onClose = () => {
      this.isClosed = true
      this.#waiter?.()
    }
    if (login.leftover.length > 0) framer.push(login.leftover, endlessShare)
    this.#link.resume()
  }

  static async logIn(options: RawLogin): Promise<RawClient> {
    const { port, user, password, database, parameters } = options
    return new RawClient(
      await connectServer({
        target: { host: '127.0.0.1', port },
        user,
        database,
        credential: credential({ kind: 'password', password }),
        parameters: Object.entries(parameters ?? {}),
      }),
    )
  }

  send(...messages: readonly Uint8Array[]): void {
    for (const message of messages) this.#link.write(message)
    this.#link.flush()
  }

  /** Resolves when what was sent has left. */
  async drained(): Promise<void> {
    while (this.#link.pendingBytes > 0) await new Promise((resolve) => setImmediate(resolve))
  }

  /** Messages up to and including the first of `type`; fails if the connection closes before. */
  async until(type: string, timeoutMs = 30_000): Promise<RawMessage[]> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const at = this.#messages.findIndex((message) => message.type === type)
      if (at >= 0) return this.#messages.splice(0, at + 1)
      const heard = this.#messages.map((message) => message.type).join('')
      if (this.isClosed) throw new Error(`closed before message ${type}; heard "${heard}"`)
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) throw new Error(`no message ${type} in ${timeoutMs} ms; heard "${heard}"`)
      await this.#next(leftMs)
    }
  }

  /** Types of the messages up to the next ReadyForQuery, without asynchronous ones. */
  async answer(): Promise<string> {
    const messages = await this.until('Z')
    return messages
      .map(({ type }) => type)
      .filter((type) => !'SNA'.includes(type))
      .join('')
  }

  /** Sends a Query and gives its whole answer. */
  query(text: string): Promise<RawMessage[]> {
    this.send(message('Q', text))
    return this.until('Z')
  }

  /** Types of the messages that were heard and not asked for. */
  get types(): string {
    return this.#messages.map(({ type }) => type).join('')
  }

  /** Stops reading: what the server sends piles up. */
  pause(): void {
    this.#link.pause()
  }

  resume(): void {
    this.#link.resume()
  }

  /** From here on rows and COPY data are counted, not kept. */
  drop(): void {
    this.#drops = true
  }

  async closed(): Promise<void> {
    while (!this.isClosed) await this.#next(10_000)
  }

  /** All that comes until the server closes the connection. */
  async rest(timeoutMs = 30_000): Promise<RawMessage[]> {
    const deadline = performance.now() + timeoutMs
    while (!this.isClosed && performance.now() < deadline) await this.#next(timeoutMs)
    if (!this.isClosed) throw new Error(`not closed in ${timeoutMs} ms; heard "${this.types}"`)
    return this.#messages.splice(0)
  }

  /** Reads nothing more. */
  freeze(): void {
    this.#link.pause()
  }

  /** Says nothing more, and reads on. */
  halfClose(): void {
    this.#link.end()
  }

  end(): void {
    this.#link.destroy()
  }

  #next(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, timeoutMs)
      const client = this
      function done(): void {
        clearTimeout(timer)
        client.#waiter = null
        resolve()
      }
      this.#waiter = done
    })
  }
}

const writer = new Writer()

/** A message of `type`: strings end with NUL, numbers are int16, bytes go as they are. */
export function message(type: string, ...parts: readonly (string | number | Uint8Array)[]): Buffer {
  writer.begin(type.charCodeAt(0))
  for (const part of parts) {
    if (typeof part === 'string') writer.string(part)
    else if (typeof part === 'number') writer.int16(part)
    else writer.bytes(part)
  }
  return writer.end().take()
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

export const parse = (name: string, text: string): Buffer => message('P', name, text, 0)
export const bind = (portal: string, name: string, ...values: readonly string[]): Buffer =>
  message(
    'B',
    portal,
    name,
    0,
    values.length,
    ...values.flatMap((value) => [int32(Buffer.byteLength(value)), Buffer.from(value)]),
    0,
  )
export const execute = (portal = '', maxRows = 0): Buffer => message('E', portal, int32(maxRows))
export const describe = (kind: 'S' | 'P', name = ''): Buffer =>
  message('D', Buffer.from(kind), name)
export const close = (kind: 'S' | 'P', name: string): Buffer =>
  message('C', Buffer.from(kind), name)
export const sync: Buffer = message('S')
export const flush: Buffer = message('H')

/** Values of the DataRows among `messages`, as text. */
export function rows(messages: readonly RawMessage[]): (string | null)[][] {
  return messages.filter(({ type }) => type === 'D').map(({ body }) => values(body))
}

function values(body: Buffer): (string | null)[] {
  const out: (string | null)[] = []
  let at = 2
  for (let left = body.readInt16BE(0); left > 0; left--) {
    const size = body.readInt32BE(at)
    at += 4
    out.push(size < 0 ? null : body.toString('utf8', at, at + size))
    at += Math.max(0, size)
  }
  return out
}

/** SQLSTATE of the first ErrorResponse, or null. */
export function sqlstate(messages: readonly RawMessage[]): string | null {
  const error = messages.find(({ type }) => type === 'E')
  return error === undefined
    ? null
    : (/\0C([0-9A-Z]{5})\0/.exec(`\0${error.body.toString()}`)?.[1] ?? '')
}
