import { noGrants } from '../client/grants.ts'
import type { ClientLogin } from '../client/startup.ts'
import { PgSplitError } from '../errors.ts'
import type { Cluster } from './cluster.ts'
import type { Roles } from './roles.ts'
import type { Grant } from './start-session.ts'

/** The WAL shows what nobody has proved. */
export const replicationRefused = new PgSplitError({
  sqlstate: '25006',
  message: 'replication connections are refused: this client may only read',
  hint: 'The configuration of pgsplit gives it "access: read" (auth.users or auth.rules).',
  severity: 'FATAL',
})

/** What the configuration says of the client, and who counts what it takes of that. */
export function grantOf(cluster: Cluster, roles: Roles | undefined, login: ClientLogin): Grant {
  const { user, database, link, tls, applicationName, replication } = login
  const facts = {
    user,
    database,
    address: link.remoteAddress,
    application: applicationName,
    isPhysical: replication === 'physical',
    isTls: tls !== null,
    hasCertificate: (tls?.clientCertificate ?? null) !== null,
  }
  const { grants, source } = roles?.access.grants(facts) ?? { grants: noGrants, source: '' }
  return { grants, use: cluster.grantUses.of(user, database, source, grants) }
}
