import type { ClusterCore } from '../../core/cluster-core.ts'
import { notVisible, defaultVisibleWaitMs as waitMs } from '../../routing/visible-commits.ts'
import type { DirectContext } from './direct-context.ts'

/**
 * Resolves when as many replicas show what the context has just committed as it asks for, or when
 * the time is up, which the log tells. Never rejects: the commit is done.
 */
export function shownCommit(core: ClusterCore, { commitVisible }: DirectContext): Promise<void> {
  return new Promise((resolve) => {
    core.visible.wait({ replicas: commitVisible, waitMs }, (missing) => {
      if (missing !== null) {
        core.noteNotVisible(notVisible(missing, waitMs))
      }
      resolve()
    })
  })
}
