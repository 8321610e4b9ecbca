/**
 * What libpq knows of in a connection string and pgsplit can't do for a node, each with what to write
 * in its place. Silence would be a promise.
 */
const refused: Readonly<Record<string, string>> = {
  options:
    'settings of sessions are said by ALTER ROLE … SET; where it names an endpoint or project, TLS tells that by the name of the host: leave it out',
  service: 'pg_service.conf is not read; write here what it says',
  servicefile: 'pg_service.conf is not read; write here what it says',
  keepalives_interval: 'Node.js sends keepalives that are not answered every second; leave it out',
  keepalives_count: 'Node.js gives a connection up after ten of them; leave it out',
  tcp_user_timeout:
    'the monitor notices nodes that are silent; say monitor.probeTimeout, and leave it out',
  require_auth: 'say channel_binding=require to accept nothing but SCRAM that is bound to TLS',
  sslcrldir: 'name one file of revoked certificates by sslcrl',
  ssl_max_protocol_version: 'the newest version that both sides have is used; leave it out',
  requirepeer: 'it is for unix-domain sockets; leave it out',
  requiressl: 'say sslmode=require',
  krbsrvname: 'there is no GSSAPI; leave it out',
  gsslib: 'there is no GSSAPI; leave it out',
  gssdelegation: 'there is no GSSAPI; leave it out',
  client_encoding: "sessions have their clients' own; leave it out",
  replication: 'clients say that for themselves; leave it out',
  pgbouncer: 'it is a word to Prisma; leave it out',
  schema: 'it is a word to Prisma; say search_path by ALTER ROLE … SET',
  connection_limit: 'it is a word to Prisma; say pool.size',
  pool_timeout: 'it is a word to Prisma; say pool.checkoutTimeout',
}

/** Why a parameter is refused, and what to write; null: it is not known at all. */
export function whyRefused(parameter: string): string | null {
  return Object.hasOwn(refused, parameter) ? (refused[parameter] ?? null) : null
}
