import { PgSplitError, ProtocolError } from '../errors.ts'
import { parseStartupOptions, type Setting } from './startup-options.ts'

/** Of the whole packet, length word included (PostgreSQL: MAX_STARTUP_PACKET_LENGTH without it). */
const maxStartupPacketBytes = 10_004
export const maxCancelKeyBytes = 256

/** The newest minor version of protocol 3 that pgsplit speaks. */
export const newestMinor = 2

const sslRequestCode = 80877103
const gssEncRequestCode = 80877104
const cancelRequestCode = 80877102

/** What a StartupMessage asks for. */
export interface StartupRequest {
  readonly kind: 'startup'
  readonly user: string
  /** As the user when the client named none. */
  readonly database: string
  /** `physical` and `database` are replication connections. */
  readonly replication: 'none' | 'physical' | 'database'
  /** Settings out of `options`, then the packet's own, in the order in which they take effect. */
  readonly settings: readonly Setting[]
  /** What is wrong with `options`; who has not proved who he is doesn't hear of it. */
  readonly optionsError: PgSplitError | null
  readonly applicationName: string
  /** All name/value pairs as sent, in order. */
  readonly parameters: readonly (readonly [string, string])[]
  /** Minor version that both sides go on with; 3.1 stays what it is, as in PostgreSQL 18. */
  readonly minor: number
  /** Not null: the client must be told what we speak (NegotiateProtocolVersion). */
  readonly negotiate: { readonly minor: number; readonly unrecognized: readonly string[] } | null
}

/**
 * What no client of this protocol says. PostgreSQL closes without a byte then: whoever is there
 * would not understand it.
 */
export class NoStartupPacket extends ProtocolError {}

export type StartupPacket =
  | { readonly kind: 'ssl-request' }
  | { readonly kind: 'gssenc-request' }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secretKey: Buffer }
  | StartupRequest
  /** Well-formed, but to be answered with this FATAL error. */
  | { readonly kind: 'refused'; readonly error: PgSplitError; readonly isOld: boolean }

/**
 * Size of the whole packet from its length word. Throws ProtocolError outside 8 … 10,004, which
 * includes negative lengths and whatever is not this protocol.
 */
export function startupPacketBytes(head: Buffer): number {
  const length = head.readInt32BE(0)
  if (length < 8 || length > maxStartupPacketBytes) {
    throw new NoStartupPacket(`invalid length of startup packet: ${length}`)
  }
  return length
}

/**
 * Decodes the first packet of a connection as PostgreSQL 18 does (backend_startup.c,
 * ProcessStartupPacket). `packet` is whole; what is returned are copies. Throws only ProtocolError.
 */
export function decodeStartupPacket(packet: Buffer): StartupPacket {
  if (packet.length < 8) throw new ProtocolError('incomplete startup packet')
  if (startupPacketBytes(packet) !== packet.length) {
    throw new ProtocolError('startup packet is not as long as it says')
  }
  const code = packet.readUInt32BE(4)
  switch (code) {
    case sslRequestCode:
      return { kind: 'ssl-request' }
    case gssEncRequestCode:
      return { kind: 'gssenc-request' }
    case cancelRequestCode:
      return decodeCancel(packet)
  }
  const major = code >>> 16
  const minor = code & 0xffff
  if (major !== 3) return { kind: 'refused', error: unsupportedProtocol(code), isOld: isOld(major) }
  return startupRequest(decodePairs(packet), minor)
}

/** Protocols 1 and 2 have another form of error. */
function isOld(major: number): boolean {
  return major === 1 || major === 2
}

/** What PostgreSQL says to a version, and to a request for encryption that was answered before. */
function unsupportedProtocol(code: number): PgSplitError {
  return new PgSplitError({
    sqlstate: '0A000',
    message: `unsupported frontend protocol ${code >>> 16}.${code & 0xffff}: server supports 3.0 to 3.${newestMinor}`,
    severity: 'FATAL',
  })
}

export const repeatedSslRequest: PgSplitError = unsupportedProtocol(sslRequestCode)
export const repeatedGssEncRequest: PgSplitError = unsupportedProtocol(gssEncRequestCode)

/** The error as a client of protocol 1 or 2 reads it. */
export function oldError({ message }: PgSplitError): Buffer {
  return Buffer.from(`EFATAL:  ${message}\n\0`)
}

function decodeCancel(packet: Buffer): StartupPacket {
  const keyBytes = packet.length - 12
  if (keyBytes < 1 || keyBytes > maxCancelKeyBytes) {
    throw new NoStartupPacket('invalid length of cancel request')
  }
  return {
    kind: 'cancel',
    processId: packet.readInt32BE(8),
    secretKey: Buffer.from(packet.subarray(12)),
  }
}

function decodePairs(packet: Buffer): [string, string][] {
  const end = packet.length
  const pairs: [string, string][] = []
  let at = 8
  while (at < end && packet[at] !== 0) {
    const nameEnd = packet.indexOf(0, at)
    const valueEnd = nameEnd < 0 ? -1 : packet.indexOf(0, nameEnd + 1)
    if (valueEnd < 0) break
    pairs.push([
      packet.toString('utf8', at, nameEnd),
      packet.toString('utf8', nameEnd + 1, valueEnd),
    ])
    at = valueEnd + 1
  }
  if (at !== end - 1 || packet[at] !== 0) {
    throw new ProtocolError('invalid startup packet layout: expected terminator as last byte')
  }
  return pairs
}

function startupRequest(parameters: [string, string][], minor: number): StartupPacket {
  let user = ''
  let database = ''
  let options = ''
  let replication: StartupRequest['replication'] | null = 'none'
  let applicationName = ''
  const settings: Setting[] = []
  const unrecognized: string[] = []
  for (const [name, value] of parameters) {
    if (name === 'user') user = value
    else if (name === 'database') database = value
    else if (name === 'options') options = value
    else if (name === 'replication') replication = parseReplication(value)
    else if (name.startsWith('_pq_.')) unrecognized.push(name)
    else settings.push({ name, value })
    if (name === 'application_name') applicationName = value
    if (replication === null) {
      return refused(
        '22023',
        `invalid value for parameter "replication": "${value}"`,
        'Valid values are: "false", 0, "true", 1, "database".',
      )
    }
  }
  if (user === '') return refused('28000', 'no PostgreSQL user name specified in startup packet')
  const fromOptions = parseStartupOptions(options)
  const isWrong = fromOptions instanceof PgSplitError
  const isNewer = minor > newestMinor
  return {
    kind: 'startup',
    user,
    database: database === '' ? user : database,
    replication,
    settings: isWrong ? settings : [...fromOptions, ...settings],
    optionsError: isWrong ? fromOptions : null,
    applicationName,
    parameters,
    minor: Math.min(minor, newestMinor),
    negotiate:
      isNewer || unrecognized.length > 0
        ? { minor: Math.min(minor, newestMinor), unrecognized }
        : null,
  }
}

/** PostgreSQL's parse_bool (unique prefixes, any case), or the word `database`. */
function parseReplication(value: string): StartupRequest['replication'] | null {
  if (value === 'database') return 'database'
  if (/^(t|tr|tru|true|y|ye|yes|on|1)$/i.test(value)) return 'physical'
  if (/^(f|fa|fal|fals|false|n|no|of|off|0)$/i.test(value)) return 'none'
  return null
}

function refused(sqlstate: string, message: string, hint?: string): StartupPacket {
  const facts = { sqlstate, message, severity: 'FATAL' } as const
  return {
    kind: 'refused',
    isOld: false,
    error: new PgSplitError(hint === undefined ? facts : { ...facts, hint }),
  }
}
