import type { Tick } from '../src/history/recorder.ts'
import type { Live } from './live.ts'

export type ClusterNow = Tick['clusters'][number]
export type NodeNow = ClusterNow['nodes'][number]

/** What each part of the page is given: one cluster, and how much of the past is looked at. */
export interface View {
  readonly live: Live
  readonly cluster: ClusterNow
  /** ms since 1970. */
  readonly fromMs: number
  readonly seconds: number
}

/** Place of a node among the names of its cluster: its colour goes by it. */
export function placeOf(cluster: ClusterNow, node: string): number {
  return cluster.nodes.findIndex((one) => one.node === node)
}
