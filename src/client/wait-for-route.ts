import { refuse } from './refuse-request.ts'
import type { Request } from './request.ts'
import { route } from './route-request.ts'
import type { ClientSession } from './session.ts'

/**
 * Keeps a request until its route may be another one: a replica has caught up, or the topology has
 * changed. False: its time is up. `onEnd` is called when it waits no longer, whatever becomes of it.
 *
 * @param untilMs monotonic ms
 * @param subscribe to what may change its route; all news of the cluster by default
 */
export function waitForRoute(
  session: ClientSession,
  request: Request,
  untilMs: number,
  onEnd?: () => void,
  subscribe: (callback: () => void) => () => void = (callback) => session.cluster.onNews(callback),
): boolean {
  const { cluster } = session
  const leftMs = untilMs - cluster.nowMs()
  if (!(leftMs > 0)) return false
  const again = (): void => {
    forget()
    session.waiting.end()
    if (session.isGone) return
    // What it was to run on may have gone while it waited.
    const { block } = session
    if (block.isInTrouble) refuse(session, request, block.takeTrouble())
    else route(session, request)
    session.pump()
  }
  const forgetNews = subscribe(again)
  const timer = setTimeout(again, Math.ceil(leftMs))
  timer.unref()
  const forget = (): void => {
    forgetNews()
    clearTimeout(timer)
    onEnd?.()
  }
  session.waiting.begin(request, () => {
    forget()
    session.catchUpUntilMs = null
  })
  return true
}
