import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseNodeUrl } from '../../../src/config/node-url.ts'
import { NodeUrlError } from '../../../src/config/node-url-error.ts'

const nothing = {
  port: 5432,
  user: undefined,
  password: undefined,
  database: undefined,
  sslmode: undefined,
  sslrootcert: undefined,
  sslcert: undefined,
  sslkey: undefined,
  sslnegotiation: undefined,
  serverName: undefined,
  sslpassword: undefined,
  sslcrl: undefined,
  sslsni: undefined,
  minTlsVersion: undefined,
  channelBinding: undefined,
  passfile: undefined,
  wantedRole: undefined,
  connectTimeoutMs: undefined,
  keepAliveIdleMs: undefined,
}

describe('the connection string of a node', () => {
  it.each([
    ['postgres://h', { host: 'h' }],
    ['postgresql://h:1234/app', { host: 'h', port: 1234, database: 'app' }],
    [
      'postgres://u:p%40ss%2Fw@h/d%20b',
      { host: 'h', user: 'u', password: 'p@ss/w', database: 'd b' },
    ],
    ['postgres://u:a:b@h', { host: 'h', user: 'u', password: 'a:b' }],
    ['postgres://u@[2001:db8::1]:6000', { host: '2001:db8::1', port: 6000, user: 'u' }],
    ['postgres:///d?host=h&user=u', { host: 'h', user: 'u', database: 'd' }],
    [
      'postgres://u@h?sslmode=verify-full&sslrootcert=system&connect_timeout=5',
      {
        host: 'h',
        user: 'u',
        sslmode: 'verify-full',
        sslrootcert: 'system',
        connectTimeoutMs: 5000,
      },
    ],
    ['postgres://u@h?channel_binding=prefer', { host: 'h', user: 'u', channelBinding: 'prefer' }],
    [
      'postgresql://neondb_owner:npg_x@ep-a-pooler.eu.aws.neon.tech/neondb?sslmode=require&channel_binding=require',
      {
        host: 'ep-a-pooler.eu.aws.neon.tech',
        user: 'neondb_owner',
        password: 'npg_x',
        database: 'neondb',
        sslmode: 'require',
        channelBinding: 'require',
      },
    ],
    ['host=db.internal hostaddr=10.0.0.7', { host: '10.0.0.7', serverName: 'db.internal' }],
    ['host=h target_session_attrs=read-write', { host: 'h', wantedRole: 'primary' }],
    ['host=h target_session_attrs=any connect_timeout=0', { host: 'h' }],
    ['host=h keepalives=0 keepalives_idle=5', { host: 'h', keepAliveIdleMs: null }],
    ['host=h keepalives=1 keepalives_idle=5', { host: 'h', keepAliveIdleMs: 5000 }],
    [
      'host=h sslpassword=p sslcrl=a.crl sslsni=0 ssl_min_protocol_version=TLSv1.3 passfile=/p',
      {
        host: 'h',
        sslpassword: 'p',
        sslcrl: 'a.crl',
        sslsni: false,
        minTlsVersion: 'TLSv1.3',
        passfile: '/p',
      },
    ],
    [
      "host=h port = 1234 user=u password='it\\'s a \\\\ secret' dbname=d",
      { host: 'h', port: 1234, user: 'u', password: "it's a \\ secret", database: 'd' },
    ],
    ['host=::1 user=a\\ b', { host: '::1', user: 'a b' }],
    ["host=h password=''", { host: 'h' }],
  ])('%s is understood', (text, parts) => {
    expect(parseNodeUrl(text)).toEqual({ ...nothing, ...parts })
  })

  it.each([
    ['mysql://h', 'the scheme must be postgres:// or postgresql://'],
    ['postgres://', 'has no host; write postgres://user@host:5432/postgres'],
    ['postgres://a,b/d', 'names several hosts; give each node a connection string of its own'],
    ['host=a,b', 'names several hosts; give each node a connection string of its own'],
    ['host=/tmp', 'unix-domain sockets are not supported; give a host name or address'],
    ['postgres://h:0', 'the port must be from 1 to 65535'],
    ['postgres://h:65536', 'the port must be from 1 to 65535'],
    ['postgres://::1', 'not a host and port; an IPv6 address needs brackets: [::1]:5432'],
    ['postgres://u:100%@h', 'password has a "%" that is no percent-encoding; write it as %25'],
    ['postgres://u:a%00b@h', 'password contains a zero byte'],
    ['postgres://h?sslmod=require', 'unknown parameter "sslmod"; did you mean sslmode?'],
    ['host=h channel_binding=no', 'channel_binding=no is none of disable, prefer, require'],
    ['host=h connect_timeout=soon', 'connect_timeout=soon is no number of seconds'],
    ['host=h gssencmode=require', "gssencmode=require can't be had, only disable, prefer"],
    [
      'host=h service=shop',
      'service is not taken: pg_service.conf is not read; write here what it says',
    ],
    [
      'host=h keepalives_count=3',
      'keepalives_count is not taken: Node.js gives a connection up after ten of them; leave it out',
    ],
    ['hostaddr=db.internal', 'hostaddr is no IP address; give a name as host'],
    ['postgres://h?x', 'a parameter after "?" has no value; write name=value'],
    [
      'postgres://u:p@ss@h',
      'not a connection URL; write "@", "/", "?" and "#" in a user name or password as %40, %2F, %3F and %23',
    ],
    [
      'localhost',
      'is neither a URL (postgres://user@host:5432/postgres) nor key=value pairs (host=… user=…)',
    ],
  ])('%s is refused with its way out', (text, message) => {
    expect(() => parseNodeUrl(text)).toThrow(new NodeUrlError(message))
  })

  it('gives back any user, password and database, as URL and as key=value', () => {
    const word = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => {
      return !text.includes('\0') && text.isWellFormed()
    })
    fc.assert(
      fc.property(
        word,
        word,
        word,
        fc.integer({ min: 1, max: 65_535 }),
        (user, password, db, port) => {
          const [u, p, d] = [user, password, db].map(encodeURIComponent)
          const wanted = { ...nothing, host: 'h', user, password, database: db, port }
          expect(parseNodeUrl(`postgres://${u}:${p}@h:${port}/${d}`)).toEqual(wanted)
          const [qu, qp, qd] = [user, password, db].map(
            (text) => `'${text.replace(/[\\']/g, '\\$&')}'`,
          )
          expect(
            parseNodeUrl(`host=h user=${qu} password=${qp} dbname=${qd} port=${port}`),
          ).toEqual(wanted)
        },
      ),
    )
  })

  it('throws nothing else and never repeats the password, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (noise) => {
        for (const text of [noise, `postgres://u:hunter2${noise}`, `password=hunter2 ${noise}`]) {
          try {
            parseNodeUrl(text)
          } catch (error) {
            expect(error).toBeInstanceOf(NodeUrlError)
            expect(String(error)).not.toContain('hunter2')
          }
        }
      }),
    )
  })
})
