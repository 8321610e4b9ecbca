import { createSocket, type Socket } from 'node:dgram'
import packet from 'dns-packet'

/** An address (A, AAAA) or `target:port` (SRV). */
type Records = Record<string, readonly string[] | 'servfail' | 'silent'>

/** A DNS server on loopback that knows what the test tells it; other names don't exist. */
export class DnsServer {
  /** By type and name: `A ro.test`. */
  readonly records: Records
  ttl = 60
  /** Questions so far. */
  asked = 0
  readonly #socket: Socket

  private constructor(records: Records) {
    this.records = records
    this.#socket = createSocket('udp4', (message, from) => {
      const answer = this.#answer(message)
      if (answer !== null) this.#socket.send(answer, from.port, from.address)
    })
  }

  static async start(records: Records): Promise<DnsServer> {
    const server = new DnsServer(records)
    await new Promise<void>((resolve) => server.#socket.bind(0, '127.0.0.1', resolve))
    return server
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()))
  }

  #answer(message: Buffer): Buffer | null {
    this.asked += 1
    const { id, questions = [] } = packet.decode(message)
    const [question] = questions
    if (question === undefined) return null
    const { type, name } = question
    const found = this.records[`${type} ${name.toLowerCase()}`]
    if (found === 'silent') return null
    const isKnown = Object.keys(this.records).some((key) => key.endsWith(` ${name.toLowerCase()}`))
    // RFC 1035, 4.1.1: 2 = server failure, 3 = no such name; a name without such records is 0.
    const rcode = found === 'servfail' ? 2 : isKnown ? 0 : 3
    const values = Array.isArray(found) ? found : []
    return packet.encode({
      type: 'response',
      id: id ?? 0,
      flags: packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | rcode,
      questions,
      answers: values.map((value) => this.#record(type, name, value)),
    })
  }

  #record(type: string, name: string, value: string): packet.Answer {
    const { ttl } = this
    if (type !== 'SRV') return { type: type === 'AAAA' ? 'AAAA' : 'A', name, ttl, data: value }
    const [target = '', port = ''] = value.split(':')
    return { type: 'SRV', name, ttl, data: { target, port: Number(port), priority: 0, weight: 0 } }
  }
}
