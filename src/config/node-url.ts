/**
 * Connection strings of one node as libpq reads them (PostgreSQL documentation, "Connection
 * Strings"): `postgresql://user:password@host:port/database?sslmode=…` or `host=… port=…`.
 */
import { parseConninfo } from './conninfo.ts'
import { NodeUrlError } from './node-url-error.ts'
import { suggest } from './suggest.ts'

/** What a connection string may say about a node; absent is undefined. */
export interface NodeUrl {
  readonly host: string
  readonly port: number
  readonly user: string | undefined
  readonly password: string | undefined
  readonly database: string | undefined
  readonly sslmode: string | undefined
  readonly sslrootcert: string | undefined
  readonly sslcert: string | undefined
  readonly sslkey: string | undefined
  readonly sslnegotiation: string | undefined
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
]

/** Settings of a client that have no meaning for a node; cloud consoles print some of them. */
const ignored = new Set([
  'application_name',
  'fallback_application_name',
  'connect_timeout',
  'target_session_attrs',
  'load_balance_hosts',
  'gssencmode',
  'keepalives',
  'keepalives_idle',
  'keepalives_interval',
  'keepalives_count',
  'tcp_user_timeout',
])

/** Parses one node's connection string; throws NodeUrlError with a text without secrets. */
export function parseNodeUrl(text: string): NodeUrl {
  const trimmed = text.trim()
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed)
  const given = isUrl ? parseUrl(trimmed) : parseConninfo(trimmed)
  for (const key of given.keys()) assertKnown(key, given.get(key) ?? '')
  const value = (key: string): string | undefined => given.get(key) || undefined
  return {
    host: parseHost(value('host')),
    port: parsePort(value('port') ?? '5432'),
    user: value('user'),
    password: value('password'),
    database: value('dbname'),
    sslmode: value('sslmode'),
    sslrootcert: value('sslrootcert'),
    sslcert: value('sslcert'),
    sslkey: value('sslkey'),
    sslnegotiation: value('sslnegotiation'),
  }
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
  if (parameters.includes(key) || ignored.has(key)) return
  if (key === 'channel_binding' && value !== 'require') return
  if (key === 'channel_binding') {
    throw new NodeUrlError('channel_binding=require is not supported; use sslmode=verify-full')
  }
  const nearest = suggest(key, parameters)
  const way =
    nearest === undefined ? `known are ${parameters.join(', ')}` : `did you mean ${nearest}?`
  throw new NodeUrlError(`unknown parameter ${JSON.stringify(key.slice(0, 40))}; ${way}`)
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
