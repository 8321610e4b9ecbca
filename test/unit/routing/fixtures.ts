import { pinOfEffects } from '../../../src/sql/pin.ts'
import type { Hint, StatementClass, Verdict } from '../../../src/sql/statement-class.ts'
import { hashText, type NodeView } from '../../../src/topology/node.ts'
import { freezeSnapshot, type Snapshot } from '../../../src/topology/snapshot.ts'

export function classOf(verdict: Verdict, given: Partial<StatementClass> = {}): StatementClass {
  return {
    verdict,
    reason: `because ${verdict}`,
    pin: verdict === 'pin' ? pinOfEffects('session advisory lock') : null,
    parts: [],
    effects: [],
    hint: null,
    keyword: 'select',
    ignorance: null,
    learned: null,
    ignoresCustoms: false,
    ignoresClock: false,
    timing: { runs: 0, peakMs: 0, peakBytes: 0 },
    ...given,
  }
}

export function hint(given: Partial<Hint>): Hint {
  return {
    route: null,
    maxLagMs: null,
    consistency: null,
    commitVisible: null,
    unread: '',
    ...given,
  }
}

export interface ViewGiven extends Partial<NodeView> {
  readonly zone?: string | null
  readonly weight?: number
}

/** A replica that may serve, unless told otherwise; index 0 is the primary. */
export function view(index: number, given: ViewGiven = {}): NodeView {
  const { zone = null, weight = 1, ...rest } = given
  const id = index === 0 ? 'primary' : `r${index}`
  return {
    spec: { id, index, host: '127.0.0.1', port: 5432 + index, zone, weight },
    id,
    index,
    idHash: hashText(id),
    role: index === 0 ? 'primary' : 'replica',
    health: 'up',
    healthReason: 'answers probes',
    fenced: null,
    readable: index !== 0,
    fresh: index !== 0,
    lagMs: index === 0 ? null : 0,
    lagBytes: index === 0 ? null : 0,
    timeline: 1,
    insertLsn: index === 0 ? 1000n : null,
    flushLsn: index === 0 ? 1000n : null,
    replayLsn: index === 0 ? null : 1000n,
    receiveLsn: index === 0 ? null : 1000n,
    streaming: index === 0 ? null : true,
    replayPaused: false,
    waitsForStandbys: false,
    leaving: false,
    serverVersion: 150018,
    configuredAt: '',
    slowStartFactor: 1,
    effectiveWeight: weight,
    upSinceMs: 0,
    observedAtMs: 0,
    ...rest,
  }
}

export function snapshotOf(nodes: readonly NodeView[], given: Partial<Snapshot> = {}): Snapshot {
  return freezeSnapshot({
    version: 1,
    atMs: 0,
    nodes,
    primary: nodes.find(({ role }) => role === 'primary') ?? null,
    timeline: 1,
    timelineStartLsn: null,
    systemIdentifier: '7',
    ...given,
  })
}
