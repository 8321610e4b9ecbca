/** What a cluster's `discovery` section may contain: nodes that come and go at run time. */
import * as z from 'zod'
import { choice, duration, expected, integer, secretText, section, text } from './scalars.ts'

const file = 'a PEM file'
const relative = 'Relative to the configuration file.'
const required = '*required*'

const patroni = section(
  {
    urls: z
      .array(
        text('an address such as http://10.0.0.1:8008', {
          description: "Where a member's REST API is.",
        }),
        expected('a list of addresses such as http://10.0.0.1:8008'),
      )
      .min(1, expected('at least one address such as http://10.0.0.1:8008'))
      .meta({
        description:
          "Patroni's REST API at some of the members, `http://` or `https://`. One that answers is enough; the others are learnt.",
        'x-default': required,
      }),
    scope: text('a name', {
      description:
        "The cluster's name in Patroni; members of another one are refused. Patroni 3.0 doesn't tell it.",
    }).optional(),
    user: text('a name', { description: 'User name, where the API asks for one.' }).optional(),
    password: secretText('a password', { description: 'Its password.' }).optional(),
    ca: text(file, {
      description: `Certificate authorities of the API. ${relative}`,
      otherwise: 'those that Node.js knows',
    }).optional(),
    cert: text(file, {
      description: `Certificate that pgsplit shows to the API. ${relative}`,
    }).optional(),
    key: text(file, { description: `Its private key. ${relative}` }).optional(),
  },
  'Members as Patroni tells them.',
)

const dns = section(
  {
    read: text('a DNS name', {
      description:
        'Name whose addresses are nodes. A name such as `_postgresql._tcp.example.org` is looked up as SRV records. At least this or `write`.',
    }).optional(),
    write: text('a DNS name', {
      description:
        'The same for the node that should take the writes. Who is primary, the node itself says.',
    }).optional(),
    port: integer(
      { description: 'Port of nodes that come from addresses; SRV records bring their own.' },
      { min: 1, max: 65_535 },
    ).prefault(5432),
    servers: z
      .array(
        text('an address or address:port', { description: 'A DNS server.' }),
        expected('a list of DNS servers, each as address or address:port'),
      )
      .meta({
        description: 'DNS servers to ask: `10.0.0.2`, `10.0.0.2:5353`, `[::1]:53`.',
        'x-default': "the system's",
      })
      .prefault([]),
    family: choice(['auto', 'ipv4', 'ipv6', 'both'], {
      description:
        'Which addresses count. `auto`: IPv4, and IPv6 of names that have no IPv4 address; `both` takes each address for a node of its own.',
    }).prefault('auto'),
    keepFor: duration({
      description: 'How long the last answer for a name stands in when looking it up fails.',
      limit: 'Its nodes count as missing.',
    }).prefault('1h'),
  },
  'Nodes as the DNS names them.',
)

/** Without `patroni` and `dns`: static, the nodes of `primary` and `replicas`. */
export const discoverySchema = section(
  {
    patroni: patroni.optional(),
    dns: dns.optional(),
    interval: duration(
      {
        description:
          'Longest time between two looks. It looks sooner when a DNS answer expires, and every second while there is no primary.',
      },
      { min: 100 },
    ).prefault('5s'),
    timeout: duration(
      {
        description: 'How long one answer may take.',
        limit: 'The next member or DNS server is asked.',
      },
      { min: 50 },
    ).prefault('2s'),
    removeAfter: duration({
      description:
        'How long a node must be missing from the list before it leaves. A primary that still serves never leaves.',
    }).prefault('30s'),
  },
  'Nodes that come and go: from Patroni or the DNS, beside those of `primary` and `replicas`.',
)

export type DiscoveryInput = z.output<typeof discoverySchema>
