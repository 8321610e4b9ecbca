/** Where the demo wants pgsplit to stand. Connection strings hold passwords: not for logs. */
export interface DemoTarget {
  readonly primaryUrl: string
  readonly replicaUrls: readonly string[]
  readonly listen: { readonly host: string; readonly port: number }
  readonly httpListen: { readonly host: string; readonly port: number }
}

/** What the demo's table shows of one node; the counters only grow. */
export interface DemoNode {
  readonly name: string
  readonly role: string
  readonly state: string
  readonly lagMs: number | null
  /** Requests of clients that this node has served. */
  readonly requests: number
  /** How many of them were proved reads. */
  readonly reads: number
}

/** A running pgsplit, as the demo sees it. */
export interface DemoProxy {
  readonly host: string
  readonly port: number
  /** `http://host:port` of its HTTP door. */
  readonly httpUrl: string
  /** Its dashboard, opened as an operator: whoever has the link may do what one may. */
  readonly dashboardUrl: string
  nodes(): readonly DemoNode[]
  stop(): Promise<void>
}

export type StartDemoProxy = (target: DemoTarget) => Promise<DemoProxy>
