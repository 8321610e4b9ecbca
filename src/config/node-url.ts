/**
 * Connection strings of one node as libpq reads them (PostgreSQL documentation, "Connection
 * Strings"): `postgresql://user:password@host:port/database?sslmode=…` or `host=… port=…`.
 */
import { isIP } from 'node:net'
import { parseConninfo } from './conninfo.ts'
import { NodeUrlError } from './node-url-error.ts'
import { whyRefused } from './refused-parameters.ts'
import { suggest } from './suggest.ts'

/** What a connection string may say about a node; absent is undefined. */
export interface NodeUrl {
  /** Where it is dialled. */
  readonly host: string
  /** With `hostaddr`: the name that its certificate has. */
  readonly serverName: string | undefined
  readonly port: number
  readonly user: string | undefined
  readonly password: string | undefined
  readonly database: string | undefined
  readonly sslmode: string | undefined
  readonly sslrootcert: string | undefined
  readonly sslcert: string | undefined
  readonly sslkey: string | undefined
  readonly sslnegotiation: string | undefined
  readonly sslpassword: string | undefined
  readonly sslcrl: string | undefined
  readonly sslsni: boolean | undefined
  readonly minTlsVersion: 'TLSv1.2' | 'TLSv1.3' | undefined
  readonly channelBinding: 'disable' | 'prefer' | 'require' | undefined
  readonly passfile: string | undefined
  /** What a client would want to meet there. */
  readonly wantedRole: 'primary' | 'standby' | undefined
  readonly connectTimeoutMs: number | undefined
  /** How long a connection is silent until it is tried; null: it never is. ms. */
  readonly keepAliveIdleMs: number | null | undefined
}

const parameters = [
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'sslnegotiation',
  'hostaddr',
  'passfile',
  'sslpassword',
  'sslcrl',
  'sslsni',
  'ssl_min_protocol_version',
  'channel_binding',
  'target_session_attrs',
  'connect_timeout',
  'keepalives',
  'keepalives_idle',
]

/** What says nothing of one node: how pgsplit's sessions are called, and how a host of several is found. */
const ignored: ReadonlyMap<string, readonly string[] | null> = new Map([
  ['application_name', null],
  ['fallback_application_name', null],
  ['load_balance_hosts', ['disable', 'random']],
  ['gssencmode', ['disable', 'prefer']],
  ['sslcompression', ['0']],
  ['sslcertmode', ['allow', 'disable']],
])

const roles: Readonly<Record<string, 'primary' | 'standby' | null>> = {
  any: null,
  'read-write': 'primary',
  primary: 'primary',
  'read-only': 'standby',
  standby: 'standby',
  'prefer-standby': null,
}

/** Parses one node's connection string; throws NodeUrlError with a text without secrets. */
export function parseNodeUrl(text: string): NodeUrl {
  const trimmed = text.trim()
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed)
  const given = isUrl ? parseUrl(trimmed) : parseConninfo(trimmed)
  for (const key of given.keys()) assertKnown(key, given.get(key) ?? '')
  const value = (key: string): string | undefined => given.get(key) || undefined
  const { host, serverName } = parsePlace(value('host'), value('hostaddr'))
  return {
    host,
    serverName,
    port: parsePort(value('port') ?? '5432'),
    user: value('user'),
    password: value('password'),
    database: value('dbname'),
    sslmode: value('sslmode'),
    sslrootcert: value('sslrootcert'),
    sslcert: value('sslcert'),
    sslkey: value('sslkey'),
    sslnegotiation: value('sslnegotiation'),
    sslpassword: value('sslpassword'),
    sslcrl: value('sslcrl'),
    sslsni: oneOf('sslsni', value('sslsni'), { '0': false, '1': true }),
    minTlsVersion: oneOf('ssl_min_protocol_version', value('ssl_min_protocol_version'), {
      'TLSv1.2': 'TLSv1.2',
      'TLSv1.3': 'TLSv1.3',
    }),
    channelBinding: oneOf('channel_binding', value('channel_binding'), {
      disable: 'disable',
      prefer: 'prefer',
      require: 'require',
    }),
    passfile: value('passfile'),
    wantedRole: oneOf('target_session_attrs', value('target_session_attrs'), roles) ?? undefined,
    connectTimeoutMs: positiveMs('connect_timeout', value('connect_timeout')),
    keepAliveIdleMs:
      oneOf('keepalives', value('keepalives'), { '0': null, '1': undefined }) === null
        ? null
        : positiveMs('keepalives_idle', value('keepalives_idle')),
  }
}

function oneOf<T>(
  key: string,
  value: string | undefined,
  meanings: Readonly<Record<string, T>>,
): T | undefined {
  if (value === undefined) return undefined
  if (Object.hasOwn(meanings, value)) return meanings[value]
  const known = Object.keys(meanings).join(', ')
  throw new NodeUrlError(`${key}=${value.slice(0, 40)} is none of ${known}`)
}

/** Seconds as libpq has them: without, zero or less there is no limit of its own. */
function positiveMs(key: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  if (!/^\s*-?\d{1,6}\s*$/.test(value)) {
    throw new NodeUrlError(`${key}=${value.slice(0, 40)} is no number of seconds`)
  }
  const seconds = Number(value)
  return seconds > 0 ? seconds * 1000 : undefined
}

function parseUrl(text: string): Map<string, string> {
  const match =
    /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#@]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(text)
  if (match === null) {
    throw new NodeUrlError(
      /^postgres(?:ql)?:\/\//i.test(text)
        ? 'not a connection URL; write "@", "/", "?" and "#" in a user name or password as %40, %2F, %3F and %23'
        : 'the scheme must be postgres:// or postgresql://',
    )
  }
  const [, credentials = '', authority = '', database = '', query = ''] = match
  const given = new Map<string, string>()
  const set = (key: string, value: string): void => {
    if (value !== '') given.set(key, decode(value, key))
  }
  const colon = credentials.indexOf(':')
  set('user', colon < 0 ? credentials : credentials.slice(0, colon))
  set('password', colon < 0 ? '' : credentials.slice(colon + 1))
  if (authority.includes(',')) throw new NodeUrlError(oneNode)
  const hostPort = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(authority)
  if (hostPort === null) {
    throw new NodeUrlError('not a host and port; an IPv6 address needs brackets: [::1]:5432')
  }
  set('host', hostPort[1] ?? hostPort[2] ?? '')
  set('port', hostPort[3] ?? '')
  set('dbname', database)
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    if (equals < 0) throw new NodeUrlError('a parameter after "?" has no value; write name=value')
    set(decode(pair.slice(0, equals), 'parameter name'), pair.slice(equals + 1))
  }
  return given
}

const oneNode = 'names several hosts; give each node a connection string of its own'

function decode(text: string, what: string): string {
  try {
    const decoded = decodeURIComponent(text)
    if (decoded.includes('\0')) throw new NodeUrlError(`${what} contains a zero byte`)
    return decoded
  } catch (error) {
    if (error instanceof NodeUrlError) throw error
    throw new NodeUrlError(`${what} has a "%" that is no percent-encoding; write it as %25`)
  }
}

function assertKnown(key: string, value: string): void {
  if (parameters.includes(key)) return
  const accepted = ignored.get(key)
  if (accepted === null || accepted?.includes(value) === true || (accepted && value === '')) return
  if (accepted !== undefined) {
    throw new NodeUrlError(`${key}=${value.slice(0, 40)} can't be had, only ${accepted.join(', ')}`)
  }
  const why = whyRefused(key)
  if (why !== null) throw new NodeUrlError(`${key} is not taken: ${why}`)
  const nearest = suggest(key, parameters)
  const way =
    nearest === undefined
      ? `known are ${parameters.slice(0, 10).join(', ')} …`
      : `did you mean ${nearest}?`
  throw new NodeUrlError(`unknown parameter ${JSON.stringify(key.slice(0, 40))}; ${way}`)
}

/** As in libpq, `hostaddr` is dialled, and `host` then is the name that TLS goes by. */
function parsePlace(
  host: string | undefined,
  address: string | undefined,
): Pick<NodeUrl, 'host' | 'serverName'> {
  if (address === undefined) return { host: parseHost(host), serverName: undefined }
  if (address.includes(',')) throw new NodeUrlError(oneNode)
  if (isIP(address) === 0) throw new NodeUrlError('hostaddr is no IP address; give a name as host')
  return { host: address, serverName: host === undefined ? undefined : parseHost(host) }
}

function parseHost(host: string | undefined): string {
  if (host === undefined)
    throw new NodeUrlError('has no host; write postgres://user@host:5432/postgres')
  if (host.includes(',')) throw new NodeUrlError(oneNode)
  if (host.startsWith('/')) {
    throw new NodeUrlError('unix-domain sockets are not supported; give a host name or address')
  }
  if (!/^[\p{L}\p{N}._:%-]+$/u.test(host))
    throw new NodeUrlError('the host has letters that no host name has')
  return host
}

function parsePort(port: string): number {
  const number = /^\d{1,5}$/.test(port) ? Number(port) : 0
  if (number < 1 || number > 65_535) throw new NodeUrlError('the port must be from 1 to 65535')
  return number
}
