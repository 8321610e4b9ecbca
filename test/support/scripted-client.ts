import type { Duplex } from 'node:stream'
import type { ClientSession } from '../../src/client/session.ts'
import { type Frame, FrameReader, frameText, front } from './scripted-messages.ts'

/** How long a test waits for bytes before it says what it has got instead, ms. */
const patienceMs = 20_000

/** The application's end of a session. */
export class ScriptedClient {
  readonly session: ClientSession
  readonly duplex: Duplex
  readonly frames: Frame[] = []
  /** All bytes that came in. */
  chunks: Buffer[] = []
  isClosed = false
  #reader = new FrameReader()
  #seen = 0
  #onChange: () => void = () => {}

  constructor(session: ClientSession, duplex: Duplex, isSlow: boolean) {
    this.session = session
    this.duplex = duplex
    duplex.on('error', () => {})
    duplex.on('end', () => {
      duplex.end()
    })
    for (const event of ['end', 'close']) {
      duplex.on(event, () => {
        this.isClosed = true
        this.#onChange()
      })
    }
    if (!isSlow) this.read()
  }

  /** Starts to read. */
  read(): void {
    this.duplex.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk)
      this.frames.push(...this.#reader.push(chunk))
      this.#onChange()
    })
  }

  send(...bytes: Buffer[]): this {
    this.duplex.write(Buffer.concat(bytes))
    return this
  }

  /** What came in since the last call of this or of `until`, once `isEnough` says so. */
  async until(what: string, isEnough: (texts: string[]) => boolean): Promise<string> {
    const texts = (): string[] => this.frames.slice(this.#seen).map(frameText)
    await new Promise<void>((resolve, reject) => {
      const check = (): void => {
        if (!isEnough(texts())) return
        clearTimeout(timer)
        this.#onChange = () => {}
        resolve()
      }
      const timer = setTimeout(() => {
        reject(new Error(`no ${what} came; got: ${texts().join(' · ') || 'nothing'}`))
      }, patienceMs)
      this.#onChange = check
      check()
    })
    const got = texts()
    this.#seen = this.frames.length
    return got.join(' · ')
  }

  /** Waits for `count` ReadyForQuery messages. */
  ready(count = 1): Promise<string> {
    return this.until(
      `ReadyForQuery (${count})`,
      (texts) => texts.filter((text) => text.startsWith('Z')).length >= count,
    )
  }

  /** Waits until the last message is this one. */
  last(text: string): Promise<string> {
    return this.until(text, (texts) => texts.at(-1) === text)
  }

  /** Simple query. */
  query(sql: string): Promise<string> {
    return this.send(front.query(sql)).ready()
  }

  /** Parse, Bind, Execute, Sync. */
  run(sql: string): Promise<string> {
    return this.send(front.run(sql), front.sync).ready()
  }

  closed(): Promise<string> {
    return this.until('end of the connection', () => this.isClosed)
  }

  /** What came in and was not asked for. */
  get unseen(): string {
    return this.frames.slice(this.#seen).map(frameText).join(' · ')
  }

  /** As a connection that is reset: a client that only closes its side is still answered. */
  vanish(): void {
    this.duplex.destroy()
    this.session.link.destroy()
  }
}
