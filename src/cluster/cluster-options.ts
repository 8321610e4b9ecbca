import type { SessionLimits } from '../client/cluster-access.ts'
import type { ClusterConfig, LimitsConfig } from '../config/config.ts'
import type { PoolOptions } from '../pool/pooled.ts'

/**
 * Messages up to a Sync. Something is kept of each (about 50 bytes), so they must not go on for ever;
 * this is more than a million rows inserted one by one in one pipeline.
 */
const maxSegmentMessages = 4_000_000

/** The configuration as sessions see it. */
export function sessionLimitsOf(config: ClusterConfig, limits: LimitsConfig): SessionLimits {
  return {
    maxRequestBytes: limits.maxBufferedRequestBytes,
    maxFrameBytes: limits.maxFrameBytes,
    retryMaxBytes: limits.retryMaxBytes,
    holdMs: config.failover.holdWritesMs,
    pauseMs: config.failover.pauseTimeoutMs,
    maxHeld: config.failover.maxHeld,
    maxHeldBytes: config.failover.maxHeldBytes,
    maxSegmentMessages,
    preparedStatements: config.pool.preparedStatements,
    poolMode: config.pool.mode,
  }
}

/** The configuration as the pools of this user at this database see it. */
export function poolOptionsOf(
  config: ClusterConfig,
  of: { readonly user: string; readonly database: string },
): PoolOptions {
  const { pool } = config
  return {
    size: poolSizeOf(config, of.user, of.database),
    keptShare: pool.keptShare,
    sharedDepth: 8,
    checkoutTimeoutMs: pool.checkoutTimeoutMs,
    idleTimeoutMs: pool.idleTimeoutMs,
    maxLifetimeMs: pool.maxLifetimeMs,
  }
}

/** What its entry in `users` says, else the first rule that says it of this user and database. */
function poolSizeOf({ pool, auth }: ClusterConfig, user: string, database: string): number {
  const own = auth.users.find(({ name }) => name === user)?.grants.poolSize ?? null
  if (own !== null) return own
  const rule = (auth.rules ?? []).find(
    ({ grants, users, databases }) =>
      grants.poolSize !== null &&
      (users?.includes(user) ?? true) &&
      (databases?.includes(database) ?? true),
  )
  return rule?.grants.poolSize ?? pool.size
}
