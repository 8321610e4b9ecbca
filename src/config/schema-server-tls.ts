import { choice, secretText, section, text } from './scalars.ts'

const file = 'a PEM file'
const relative = 'Relative to the configuration file.'

/** TLS to the nodes of a cluster. */
export const serverTlsSchema = section(
  {
    sslmode: choice(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'], {
      description: "TLS to the nodes, with the meanings of libpq's sslmode.",
      otherwise: '`prefer`; `verify-full` with `sslrootcert: system`',
    }).optional(),
    sslrootcert: text(`${file}, or system`, {
      description: `Certificate authorities of the nodes, or \`system\`. ${relative}`,
    }).optional(),
    sslcert: text(file, {
      description: `Certificate that pgsplit shows to the nodes. ${relative}`,
    }).optional(),
    sslkey: text(file, { description: `Its private key. ${relative}` }).optional(),
    sslpassword: secretText('a passphrase', {
      description: 'What unlocks the private key, where it is encrypted.',
      otherwise: 'none',
    }).optional(),
    channelBinding: choice(['disable', 'prefer', 'require'], {
      description:
        "Whether SCRAM log-ins are bound to the TLS below them, as libpq's channel_binding. `require`: a node that can't is not used.",
      otherwise: '`prefer`',
    }).optional(),
    sslnegotiation: choice(['postgres', 'direct'], {
      description: '`direct`: TLS from the first byte, for nodes of PostgreSQL 17 and later.',
    }).prefault('postgres'),
  },
  "TLS to the nodes. Parameters of a node's URL go first.",
)
