import type { Arena, Contestant } from '../contestant.ts'

/** The primary itself: what there is without anything in between. */
export async function startDirect({ cluster }: Arena): Promise<Contestant> {
  return {
    name: 'direct',
    version: `PostgreSQL ${cluster.version}`,
    port: cluster.primary.port,
    pid: null,
    setup: 'pgbench connects to the primary',
    maxClients: 64,
    database: () => cluster.database,
    stop: async () => {},
  }
}
