import { readFileSync, statSync } from 'node:fs'

/** A node that logs all statements (`log_statement = all`). */
export interface LoggingNode {
  readonly logFile: string
}

/** Where a node's log ends now. */
export function endOfLog({ logFile }: LoggingNode): number {
  return statSync(logFile).size
}

/** A comment by which `ranAt` finds a statement in a node's log. */
export function tagged(tag: string, number: number): string {
  return `/*${tag}:${number}*/`
}

/** Numbers of the statements of that tag which the node was told, by its own log from `offset` on. */
export function ranAt({ logFile }: LoggingNode, tag: string, offset = 0): Set<number> {
  const log = readFileSync(logFile).subarray(offset).toString('latin1')
  return new Set(
    [...log.matchAll(new RegExp(`/\\*${tag}:(\\d+)\\*/`, 'g'))].map(([, n]) => Number(n)),
  )
}
