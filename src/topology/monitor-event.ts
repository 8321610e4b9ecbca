import type { FenceReason } from './election.ts'
import type { NodeRole } from './node.ts'

/**
 * What the owner should log. `node` is the node's id, `reason` one word for filters, `detail` a
 * clause for people. Never contains secrets.
 */
export type MonitorEvent =
  | NodeEvent<'node-up', 'probed' | 'recovered' | 'ban-over'>
  | NodeEvent<'node-down', DownReason>
  | (NodeEvent<'node-banned', 'failures' | 'operator'> & { readonly forMs: number | null })
  | NodeEvent<'node-draining', 'operator'>
  | NodeEvent<'node-joined', 'discovered'>
  | NodeEvent<'node-leaving', 'gone' | 'moved'>
  | NodeEvent<'node-left', 'drained'>
  | NodeEvent<'node-undrained', 'operator'>
  | (NodeEvent<'node-lagging', 'lag' | 'lag-unknown'> & { readonly lagMs: number | null })
  | (NodeEvent<'node-fresh', 'caught-up'> & { readonly lagMs: number | null })
  | NodeEvent<'node-fenced', FenceReason | 'foreign-cluster'>
  | NodeEvent<'node-unfenced', 'resolved'>
  | NodeEvent<'node-strayed', 'other-history'>
  | NodeEvent<'node-returned', 'same-history'>
  | (NodeEvent<'role-changed', 'probed'> & { readonly from: NodeRole; readonly to: NodeRole })
  | NodeEvent<'probe-failed', DownReason>
  | NodeEvent<'probe-degraded', 'privilege'>
  | {
      readonly kind: 'primary-changed'
      readonly from: string | null
      readonly to: string | null
      readonly timeline: number | null
      readonly reason: 'elected' | 'lost'
      readonly detail: string
    }
  | { readonly kind: 'listener-failed'; readonly reason: 'thrown'; readonly detail: string }

export type DownReason =
  | 'own'
  | 'refused'
  | 'shutdown'
  | 'timeout'
  | 'reset'
  | 'login'
  | 'answer'
  | 'operator'

interface NodeEvent<Kind extends string, Reason extends string> {
  readonly kind: Kind
  readonly node: string
  readonly reason: Reason
  readonly detail: string
}
