import type { ClusterCore } from '../../core/cluster-core.ts'
import type { SessionFacts } from '../../routing/requirement.ts'
import { formatCausalToken, parseCausalToken } from '../../routing/watermark.ts'
import { hashText } from '../../topology/node.ts'
import type { ContextOptions } from '../door.ts'
import { DoorError, foreignToken, notAToken } from '../door-error.ts'
import { type DirectContext, newDirectContext, takeShared } from './direct-context.ts'
import { waitForNews } from './wait-for-news.ts'

/** How long a causal token may be waited for, ms. */
const tokenWaitMs = 5_000

/** What contexts are handed, and hand on: causal tokens in and out. */
export class ContextTokens {
  readonly #core: ClusterCore

  constructor(core: ClusterCore) {
    this.#core = core
  }

  newContext(options: ContextOptions, process: SessionFacts): DirectContext {
    const { token, affinity, isForeignIgnored, isShared, commitVisible = 0 } = options
    const { routing } = this.#core.config
    const { consistency = routing.consistency } = options
    const isPrimary = token === 'primary'
    const context = newDirectContext(
      {
        consistency,
        // Not by `consistency`: what it reads there gets a position, for the next token.
        routeSetting: isPrimary ? 'primary' : 'auto',
        causalWaitMs: routing.causalWaitMs,
        ...(affinity === undefined ? {} : { clientAddressHash: hashText(affinity) }),
      },
      process,
      isShared === true,
      isForeignIgnored === true,
      commitVisible === 'all' ? Number.POSITIVE_INFINITY : commitVisible,
    )
    // Whatever was acknowledged before lies behind any position that is asked for from now on: not even
    // a hint leads to a replica without it.
    if (isPrimary) this.#core.positions.notePrimary(context.facts)
    else if (token !== undefined) this.raise(context, token)
    return context
  }

  raise(context: DirectContext, text: string): void {
    if (text === '') return
    const token = parseCausalToken(text)
    if (token === null) throw notAToken(text)
    const { systemIdentifier: cluster, timeline, lsn } = token
    if (cluster !== null) {
      context.expectedCluster = cluster
      this.#checkCluster(context)
    }
    context.patience.hasWritten = true
    this.#core.positions.raise(context.facts, { timeline, lsn })
  }

  #checkCluster(context: DirectContext): void {
    const { expectedCluster } = context
    const { systemIdentifier } = this.#core
    if (expectedCluster === null || systemIdentifier === null) return
    if (expectedCluster !== systemIdentifier) {
      throw foreignToken(expectedCluster, systemIdentifier)
    }
    context.expectedCluster = null
  }

  /** A token that was taken before the cluster was known. */
  check(context: DirectContext): void {
    if (context.expectedCluster === null) return
    const { expectedCluster } = context
    const { systemIdentifier } = this.#core
    if (!context.isForeignIgnored || expectedCluster === systemIdentifier) {
      this.#checkCluster(context)
    } else if (systemIdentifier !== null) {
      context.expectedCluster = null
      context.facts.watermark = null
    }
  }

  now(context: DirectContext): string | null {
    const core = this.#core
    const { facts } = context
    this.check(context)
    takeShared(context, core.positions)
    if (!core.positions.settle(facts)) {
      core.positions.hurry(facts)
      return null
    }
    if (facts.watermark === null) return ''
    return formatCausalToken({ ...facts.watermark, systemIdentifier: core.systemIdentifier })
  }

  async wait(context: DirectContext, isClosed: () => boolean): Promise<string> {
    const core = this.#core
    const endMs = core.nowMs() + tokenWaitMs
    for (;;) {
      const token = this.now(context)
      if (token !== null) return token
      const leftMs = endMs - core.nowMs()
      if (leftMs <= 0 || isClosed()) {
        throw new DoorError({
          sqlstate: '57P03',
          message: 'no position is known that covers what this context has done',
          detail: `No node answered for ${tokenWaitMs} ms.`,
          hint: 'sessions.snapshot() tells what is wrong with each node; ask again when there is a primary.',
        })
      }
      await waitForNews((callback) => core.onNews(callback), leftMs)
    }
  }
}
