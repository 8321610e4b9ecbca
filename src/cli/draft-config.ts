import type { NodeConfig } from '../config/config.ts'

/** What a configuration file is drafted from. */
export interface Draft {
  readonly primary: NodeConfig
  readonly replicas: readonly NodeConfig[]
  /** Standbys that could not be reached, each on one line. */
  readonly unreachable: readonly string[]
  /** How the file names the monitor's password; null: the monitor has none. */
  readonly password: { readonly variable: string } | { readonly text: string } | null
  /** Why roles can't be looked up; null: they can. */
  readonly lookupFault: string | null
  readonly listen: string
}

/** A commented `pgsplit.yaml`. Nodes have no names, and so are called after host and port. */
export function draftConfig(draft: Draft): string {
  const { primary, replicas, unreachable, lookupFault, listen } = draft
  const url = (node: NodeConfig): string => urlOf(node, draft.password)
  return [
    '# A configuration of pgsplit, made by pgsplit init.',
    '# Try it:       npx pgsplit check --config pgsplit.yaml',
    '# Run it:       npx pgsplit serve --config pgsplit.yaml',
    '# Every option: npx pgsplit config --reference',
    ...passwordLines(draft.password),
    '',
    "# Where clients connect. '*:6432' is every interface.",
    `listen: ${quoted(listen)}`,
    '',
    'clusters:',
    '  main:',
    "    # User and password are the monitor's own; clients have theirs.",
    `    primary: ${url(primary)}`,
    ...(replicas.length === 0
      ? ['    # No replica was found: everything runs on the primary until one stands here.']
      : ['    # Found in pg_stat_replication, and tried.']),
    replicas.length === 0 ? '    replicas: []' : '    replicas:',
    ...replicas.map((node) => `      - ${url(node)}`),
    ...unreachable.map((line) => `      # not reached: ${line}`),
    '',
    '    routing:',
    '      # A replica that is further behind gets no reads.',
    '      maxLag: 10s',
    '',
    '    pool:',
    '      # Server connections per node, user and database.',
    '      size: 20',
    '',
    ...lookupLines(lookupFault),
    ...tlsLines(primary),
    '',
  ].join('\n')
}

function passwordLines(password: Draft['password']): string[] {
  if (password === null) return []
  return 'variable' in password
    ? [`# The monitor's password is read from the environment: ${password.variable}.`]
    : ["# Contains the monitor's password in plain text: keep this file from others."]
}

function lookupLines(fault: string | null): string[] {
  if (fault === null) {
    return [
      '    auth:',
      '      # Roles of the cluster log in with their own passwords: the monitor may look them up.',
      '      lookup: auto',
    ]
  }
  return [
    '    # Roles can not be looked up yet, so that nobody could log in:',
    `    # ${oneLine(fault)}`,
    '    auth:',
    '      lookup: auto',
    '      # users:',
    `      #   - { name: app, password: '$\{APP_PASSWORD}' }`,
  ]
}

function tlsLines({ tls }: NodeConfig): string[] {
  const { sslmode, sslrootcert, sslcert, sslkey, sslnegotiation, channelBinding } = tls
  const given = { sslmode, sslrootcert, sslcert, sslkey, sslnegotiation, channelBinding }
  const lines = Object.entries(given).flatMap(([key, value]) =>
    value === undefined || (key === 'sslmode' && value === 'prefer')
      ? []
      : [`      ${key}: ${quoted(value)}`],
  )
  return lines.length === 0 ? [] : ['', '    # To the nodes, as in the URL.', '    tls:', ...lines]
}

function urlOf({ host, port, login }: NodeConfig, password: Draft['password']): string {
  const secret =
    password === null
      ? ''
      : 'variable' in password
        ? `:\${${password.variable}}`
        : `:${encodeURIComponent(password.text)}`
  const where = host.includes(':') ? `[${encodeURIComponent(host)}]` : host
  const at = `${where.replaceAll('%3A', ':')}:${port}`
  const url = `postgres://${encodeURIComponent(login.user)}${secret}@${at}/${encodeURIComponent(login.database)}`
  // What is written here is no place for a variable.
  return quoted('variable' in (password ?? {}) ? url : url.replaceAll('${', '$${'))
}

/** Plain where YAML takes it so. */
function quoted(text: string): string {
  return /^[A-Za-z0-9/][\w./:@${}%+-]*$/.test(text) && !/:$/.test(text)
    ? text
    : `'${text.replaceAll("'", "''")}'`
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ')
}
