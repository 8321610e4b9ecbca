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

/** The configuration as every pool sees it. */
export function poolOptionsOf({ pool }: ClusterConfig): PoolOptions {
  return {
    size: pool.size,
    keptShare: pool.keptShare,
    sharedDepth: 8,
    checkoutTimeoutMs: pool.checkoutTimeoutMs,
    idleTimeoutMs: pool.idleTimeoutMs,
    maxLifetimeMs: pool.maxLifetimeMs,
  }
}
