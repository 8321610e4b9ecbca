import type { NodeView } from '../topology/node.ts'
import type { RouteWord } from './route-word.ts'

/** Where a request goes, and why. */
export interface Route {
  /** null = nowhere now; the reason belongs into the client's error. */
  readonly node: NodeView | null
  /** What the statement needed: a `replica` request may have fallen back to the primary's node. */
  readonly target: 'primary' | 'replica'
  readonly reason: string
  readonly word: RouteWord
  /** Another replica would have been behind what the session has written or seen. */
  readonly avoidsStale?: boolean
  /** A replica would do, but none is known to have what the session has written or seen. */
  readonly isBehind?: boolean
}
