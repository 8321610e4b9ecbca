import { message, RawClient, type RawLogin, type RawMessage } from './raw-client.ts'

/**
 * One client twice: on a server of its own and through pgsplit. What it says is said to both, and
 * what both hear must be the same, byte for byte.
 */
export class TwinSession {
  readonly #direct: RawClient
  readonly #proxied: RawClient
  /** All that was said and heard, for whoever has to understand a difference. */
  readonly said: string[] = []
  #last = ''

  private constructor(direct: RawClient, proxied: RawClient) {
    this.#direct = direct
    this.#proxied = proxied
  }

  /** Is it in an aborted transaction? */
  get isAborted(): boolean {
    return this.#last === 'Z E'
  }

  static async logIn(direct: RawLogin, proxied: RawLogin): Promise<TwinSession> {
    const [one, other] = await Promise.all([RawClient.logIn(direct), RawClient.logIn(proxied)])
    const twins = new TwinSession(one, other)
    twins.#compare('log-in', [statuses(one)], [statuses(other)])
    return twins
  }

  /** Sends the frames, which hold `readies` Syncs or Queries; returns what was heard. */
  async say(what: string, frames: readonly Buffer[], readies = 1): Promise<readonly string[]> {
    const [direct, proxied] = await Promise.all(
      [this.#direct, this.#proxied].map(async (client) => {
        client.send(...frames)
        const heard: string[] = []
        for (let left = readies; left > 0; left--) {
          for (const one of await client.until('Z', 30_000)) heard.push(textOf(one))
        }
        return heard
      }),
    )
    return this.#compare(what, direct ?? [], proxied ?? [])
  }

  query(text: string, what = text): Promise<readonly string[]> {
    return this.say(what, [message('Q', text)])
  }

  /** Leaves in order, or in the middle of whatever it is. */
  end(isAbrupt = false): void {
    for (const client of [this.#direct, this.#proxied]) {
      if (!isAbrupt) client.send(message('X'))
      client.end()
    }
  }

  #compare(what: string, direct: readonly string[], proxied: readonly string[]): readonly string[] {
    this.#last = proxied.at(-1) ?? ''
    this.said.push(`${what}\n    ${shown(proxied)}`)
    if (inOrder(direct) === inOrder(proxied)) return proxied
    const before = this.said.slice(-30).join('\n  ')
    throw new Error(`pgsplit answers otherwise:\n  ${before}\ndirect:\n    ${shown(direct)}`)
  }
}

/** What is reported at the end of an answer comes in any order. */
function inOrder(heard: readonly string[]): string {
  const out: string[] = []
  let reported: string[] = []
  for (const one of [...heard, '']) {
    if (one.startsWith('S ')) reported.push(one)
    else {
      out.push(...reported.sort(), one)
      reported = []
    }
  }
  return out.join('\n')
}

/** Without the descriptions of columns, which are long. */
function shown(heard: readonly string[]): string {
  return heard.filter((one) => !one.startsWith('T ')).join(' · ')
}

function statuses({ login }: RawClient): string {
  return [...login.parameters]
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(' ')
}

function textOf({ type, body }: RawMessage): string {
  const text = body
    .toString('latin1')
    .replace(
      /[\0-\x1f\x7f-\xff]/g,
      (char) => `\\${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
  return `${type} ${text}`
}
