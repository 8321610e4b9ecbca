import * as z from 'zod'
import {
  choice,
  expected,
  integer,
  listenAddresses,
  name,
  secretText,
  section,
  text,
} from './scalars.ts'

const file = 'a PEM file'

const tls = section(
  {
    mode: choice(['disable', 'require', 'verify-ca', 'verify-full'], {
      description:
        '`require`: HTTPS only; `verify-ca`: and for callers with a certificate of `ca`; `verify-full`: whose common name is an administrator, who needs no password then.',
      otherwise: '`require` with `cert`, else `disable`',
    }).optional(),
    cert: text(file, {
      description: 'Certificate chain of the HTTP door. Relative to the configuration file.',
    }).optional(),
    key: text(file, {
      description: 'Its private key. Relative to the configuration file.',
    }).optional(),
    ca: text(file, {
      description:
        "Certificate authorities of the callers' certificates. Relative to the configuration file.",
    }).optional(),
  },
  'TLS of the HTTP door.',
)

const token = section(
  {
    name: name('a name', { description: 'What the log calls who shows it.' }),
    token: secretText('at least 16 characters', {
      description:
        'What stands behind `Authorization: Bearer`, best from a variable of the environment.',
    }),
    role: choice(['reader', 'operator'], {
      description: '`reader` may only look; `operator` may also do what the admin database does.',
    }).prefault('reader'),
  },
  'A bearer token.',
)

/** The HTTP door; without the section there is none. */
export const httpSchema = section(
  {
    listen: listenAddresses({
      description:
        'Where the dashboard, `/metrics`, `/healthz`, `/readyz` and `/api/v1/` are served: `host:port`, or a list. Without a section `http` they are not.',
    }),
    metrics: choice(['open', 'readers'], {
      description: 'Who may scrape `/metrics`: everybody, or who has a token or logs in.',
    }).prefault('open'),
    tokens: z
      .array(token, expected('a list of tokens', true))
      .meta({
        description:
          'Tokens for the dashboard, `/api/v1/` and `/metrics`, beside the passwords of administrators.',
      })
      .prefault([]),
    maxConnections: integer(
      {
        description: 'HTTP connections at a time.',
        limit: 'The one that has been quiet for longest is closed.',
      },
      { min: 1, max: 100_000 },
    ).prefault(200),
    tls: tls.prefault({}),
  },
  'The HTTP door: dashboard, metrics, health and JSON. Off without this section.',
)

export type HttpInput = z.output<typeof httpSchema>
