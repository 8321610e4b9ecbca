import { PgSplitError } from '../../errors.ts'
import type { TokenText } from '../../routing/watermark.ts'
import { formatCausalToken, jointToken, parseCausalToken } from '../../routing/watermark.ts'
import type { ContextCarrier } from '../context-carrier.ts'
import type { IgnoredReason } from './token-channel.ts'
import { PRIMARY_ONLY } from './token-channel.ts'

/**
 * One token for all that came in; undefined = none. What is no token, or one of another cluster, is
 * left out, and `onIgnored` is told of it.
 */
export function jointBrought(
  carrier: ContextCarrier,
  texts: readonly string[],
  onIgnored: (reason: IgnoredReason) => void,
): string | undefined {
  let joint: TokenText | null = null
  let isPrimaryOnly = false
  for (const text of new Set(texts)) {
    if (text === PRIMARY_ONLY) {
      isPrimaryOnly = true
      continue
    }
    const token = parseCausalToken(text)
    if (token === null) onIgnored('malformed')
    else if (!isTaken(carrier, text)) onIgnored('foreign')
    else if (joint === null) joint = token
    // Of two clusters, and it is not known yet which one this is: the primary will do for either.
    else if (isOther(joint, token)) isPrimaryOnly = true
    else joint = joined(joint, token)
  }
  if (isPrimaryOnly) return PRIMARY_ONLY
  return joint === null ? undefined : formatCausalToken(joint)
}

function isOther(a: TokenText, b: TokenText): boolean {
  const ids = [a.systemIdentifier, b.systemIdentifier]
  return !ids.includes(null) && ids[0] !== ids[1]
}

function joined(a: TokenText, b: TokenText): TokenText {
  return { ...jointToken(a, b), systemIdentifier: a.systemIdentifier ?? b.systemIdentifier }
}

/** Asks with a context in which nothing happens: only the carrier knows whose cluster it is. */
function isTaken(carrier: ContextCarrier, token: string): boolean {
  try {
    carrier.run(() => undefined, { token })
    return true
  } catch (error) {
    if (error instanceof PgSplitError && error.sqlstate === '22023') return false
    throw error
  }
}
